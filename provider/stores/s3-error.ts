import { hostname } from "node:os";
import { BackupError, type ErrorCode } from "../errors";

/** A request to S3, in the words that an error about it needs. */
export interface S3Request {
  /** The IAM action, as policies spell it. */
  readonly action: string;
  readonly bucket: string;
  readonly key?: string | undefined;
  /** Whose credentials signed it, for people. */
  readonly who: string;
  /** `https://host[:port]`. */
  readonly endpoint: string;
  /** The server that sent it; undefined: the machine that Pulumi runs on. */
  readonly host?: string | undefined;
}

/** What S3 answered, or what kept the answer away. */
export interface S3Failure {
  /** S3's own error code, where the answer had one. */
  readonly code?: string | undefined;
  readonly status?: number | undefined;
  /** The region that the bucket is really in, where the answer says so. */
  readonly region?: string | undefined;
  /** Why there is no answer. */
  readonly network?: string | undefined;
  readonly tls?: boolean | undefined;
}

/** The error for a request that failed: what was asked, of whom, with whose credentials, and what to do. */
export function s3Error(request: S3Request, failure: S3Failure): BackupError {
  const { code, what, hint } = explain(request, failure);
  return new BackupError(code, what, { host: request.host, hint });
}

/** Reads an error that the SDK threw. The SDK's own error is not kept: its fields repeat signed headers, a session token among them. */
export function sdkFailure(error: unknown): S3Failure {
  if (!(error instanceof Error)) return { network: String(error) };
  const details = error as Error & SdkErrorFields;
  const status = details.$metadata?.httpStatusCode;
  if (status !== undefined) {
    const region = details.$response?.headers?.["x-amz-bucket-region"] ?? details.Region;
    return { code: BODYLESS.has(error.name) ? undefined : error.name, status, region };
  }
  const reason = [details.code, error.message].filter((part) => part !== undefined && part !== "").join(": ");
  return {
    network: reason === "" ? error.name : reason,
    tls: TLS_ERROR.test(`${details.code ?? ""} ${error.message}`),
  };
}

interface SdkErrorFields {
  readonly code?: string;
  readonly Region?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

/** Names that the SDK makes up when the answer to a HEAD has no body. */
const BODYLESS = new Set(["Unknown", "UnknownError", "Forbidden", "NotFound", "Error", "400", "403", "404", "301"]);
const TLS_ERROR = /CERT|certificate|SSL|TLS|UNABLE_TO_VERIFY|EPROTO|altname/i;
const WRONG_REGION = ["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"];
const WRONG_KEYS = ["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "UnrecognizedClientException"];

function explain(request: S3Request, failure: S3Failure): { code: ErrorCode; what: string; hint: string } {
  const { bucket, key, who, action, endpoint } = request;
  const target = key === undefined ? `bucket ${bucket}` : `s3://${bucket}/${key}`;
  const from = request.host === undefined ? `this machine (${hostname()})` : `server ${request.host}`;
  const { code = "", status } = failure;

  if (failure.network !== undefined) {
    return {
      code: "STORE_UNREACHABLE",
      what: `S3 at ${endpoint} cannot be reached from ${from}: ${failure.network}`,
      hint:
        failure.tls === true
          ? "Give the endpoint's certificate authority as s3.endpointCa, and check that its certificate names the endpoint."
          : `Check s3.endpoint, and that ${from} may connect to it.`,
    };
  }
  if (code === "NoSuchBucket" || (status === 404 && code === "" && key === undefined)) {
    return {
      code: "BUCKET_NOT_FOUND",
      what: `there is no bucket ${bucket} at ${endpoint}`,
      hint: "Create it, or correct s3.bucket, s3.region or s3.endpoint.",
    };
  }
  if (code === "NoSuchKey" || (status === 404 && code === "" && key !== undefined)) {
    return { code: "SNAPSHOT_NOT_FOUND", what: `there is no ${target}`, hint: "Name one that is there." };
  }
  if (WRONG_REGION.includes(code) || status === 301 || (status === 400 && failure.region !== undefined)) {
    const region = failure.region;
    return {
      code: "INVALID_INPUT",
      what: `bucket ${bucket} is ${region === undefined ? "in another region" : `in region ${region}`}`,
      hint: `Set s3.region to ${region ?? "the region of the bucket"}.`,
    };
  }
  if (code === "RequestTimeTooSkewed" || code === "RequestExpired") {
    return {
      code: "STORE_DENIED",
      what: `S3 refused ${action} on ${target}: the clock that signed the request differs too much from S3's (${code})`,
      hint: `Set the clock of this machine (${hostname()}) right; it now says ${new Date().toISOString()}.`,
    };
  }
  if (code === "ExpiredToken" || code === "ExpiredTokenException") {
    return {
      code: "STORE_DENIED",
      what: `S3 refused ${action} on ${target}: the session of ${who} has expired`,
      hint: "Renew the session and run again.",
    };
  }
  if (WRONG_KEYS.includes(code)) {
    return {
      code: "STORE_DENIED",
      what: `S3 at ${endpoint} does not accept ${who} (${code})`,
      hint: "Check s3.accessKeyId, s3.secretAccessKey and s3.sessionToken, or where these credentials come from.",
    };
  }
  if (status === 403 || status === 401 || code === "AccessDenied" || code === "AllAccessDisabled") {
    const missing =
      action === "s3:GetObject" ? " A missing object answers the same when s3:ListBucket is not allowed." : "";
    return {
      code: "STORE_DENIED",
      what: `S3 denied ${action} on ${target} to ${who}${code === "" ? "" : ` (${code})`}`,
      hint: `Allow ${action} on ${target} to ${who}.${missing}`,
    };
  }
  return {
    code: "STORE_UNREACHABLE",
    what: `S3 at ${endpoint} failed ${action} on ${target}, asked from ${from}: ${[status, code].filter(Boolean).join(" ") || "no answer"}`,
    hint: "Run again; when it stays so, ask whoever runs this S3.",
  };
}
