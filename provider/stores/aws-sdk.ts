import { createRequire } from "node:module";
import type * as CredentialProviders from "@aws-sdk/credential-providers";
import type * as S3 from "@aws-sdk/client-s3";
import type * as Presigner from "@aws-sdk/s3-request-presigner";

// Loaded when first used: most of what Pulumi asks has nothing to do with S3.

export function loadS3(): typeof S3 {
  return load("@aws-sdk/client-s3") as typeof S3;
}

export function loadPresigner(): typeof Presigner {
  return load("@aws-sdk/s3-request-presigner") as typeof Presigner;
}

export function loadCredentialProviders(): typeof CredentialProviders {
  return load("@aws-sdk/credential-providers") as typeof CredentialProviders;
}

function load(name: string): unknown {
  // The SDK announces the end of a Node version on stderr, which Pulumi shows as a warning of every update.
  process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";
  return createRequire(__filename)(name);
}
