import { Agent } from "node:https";
import type * as S3Sdk from "@aws-sdk/client-s3";
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import { BackupError, hasCode } from "../errors";
import type { S3Settings } from "../model";
import type { HostReader } from "../transport/host";
import { loadPresigner, loadS3 } from "./aws-sdk";
import { credentialSource } from "./credentials";
import { type S3Failure, type S3Request, s3Error, sdkFailure } from "./s3-error";

type Sdk = typeof S3Sdk;

/** One request as the SDK has it: a command, and the IAM action it needs, for messages. */
export interface Ask<Output> {
  readonly action: string;
  readonly key?: string | undefined;
  readonly send: (sdk: Sdk, client: S3Client) => Promise<Output>;
}

/** A bucket, and the credentials that its requests are signed with. The SDK is loaded with the first request. */
export interface S3Bucket {
  readonly settings: S3Settings;
  /** Sends a request from this machine. Rejects with this package's errors only. */
  ask<Output>(request: Ask<Output>): Promise<Output>;
  /** Makes a URL that lets whoever has it do one thing until `seconds` from now. It is a secret. */
  presign(command: (sdk: Sdk) => PresignedCommand, seconds: number): Promise<string>;
  /** The error for a failure that was seen on a server, or here. */
  readonly errorFor: (action: string, key: string | undefined, failure: S3Failure, host?: string) => BackupError;
}

type PresignedCommand = InstanceType<Sdk["PutObjectCommand"] | Sdk["UploadPartCommand"] | Sdk["GetObjectCommand"]>;

export function s3Bucket(settings: S3Settings, server: HostReader | undefined): S3Bucket {
  const source = credentialSource(settings, server);
  let who = "these credentials";
  let opened: { sdk: Sdk; client: S3Client } | undefined;

  const open = (): { sdk: Sdk; client: S3Client } => {
    const sdk = loadS3();
    const client = new sdk.S3Client({
      ...clientConfig(settings),
      credentials: async () => {
        const { who: owner, ...keys } = await source();
        who = owner;
        return keys;
      },
    });
    return { sdk, client };
  };
  const opening = (): { sdk: Sdk; client: S3Client } => (opened ??= open());

  const errorFor = (action: string, key: string | undefined, failure: S3Failure, host?: string): BackupError => {
    const request: S3Request = { action, bucket: settings.bucket, key, who, endpoint: endpointUrl(settings), host };
    return s3Error(request, failure);
  };

  return {
    settings,
    errorFor,
    async ask({ action, key, send }) {
      const { sdk, client } = opening();
      try {
        return await send(sdk, client);
      } catch (error) {
        if (error instanceof BackupError) throw error;
        throw errorFor(action, key, sdkFailure(error));
      }
    },
    async presign(command, seconds) {
      const { sdk, client } = opening();
      const { getSignedUrl } = loadPresigner();
      const made = command(sdk);
      // Headers that stay headers are signed and sent as such: not every S3 takes them from the query.
      const metadata = "Metadata" in made.input ? Object.keys(made.input.Metadata ?? {}) : [];
      const headers = new Set(["x-amz-checksum-sha256", ...metadata.map((name) => `x-amz-meta-${name}`)]);
      return getSignedUrl(client, made as Parameters<typeof getSignedUrl>[1], {
        expiresIn: seconds,
        unhoistableHeaders: headers,
        // The SDK learns from S3's answers how far this machine's clock is off.
        signingDate: new Date(Date.now() + client.config.systemClockOffset),
      });
    },
  };
}

/** Runs a request, and gives undefined instead of an error that says that the object is not there. */
export async function unlessMissing<Output>(request: Promise<Output>): Promise<Output | undefined> {
  try {
    return await request;
  } catch (error) {
    if (hasCode(error, "SNAPSHOT_NOT_FOUND")) return undefined;
    throw error;
  }
}

/** `https://host[:port]` of the S3 that these settings mean. */
export function endpointUrl({ endpoint, insecure, region }: S3Settings): string {
  return `${insecure === true ? "http" : "https"}://${endpoint ?? `s3.${region ?? DEFAULT_REGION}.amazonaws.com`}`;
}

const DEFAULT_REGION = "us-east-1";

function clientConfig(settings: S3Settings): S3ClientConfig {
  const { endpoint, region, bucketLookup = "auto", endpointCa, skipTlsVerify, insecure } = settings;
  const ofAws = endpoint === undefined || /\.amazonaws\.com(\.cn)?(:\d+)?$/.test(endpoint);
  const agent = new Agent({
    keepAlive: true,
    ...(endpointCa === undefined ? {} : { ca: endpointCa }),
    ...(skipTlsVerify === true ? { rejectUnauthorized: false } : {}),
  });
  return {
    region: region ?? DEFAULT_REGION,
    ...(endpoint === undefined && insecure !== true ? {} : { endpoint: endpointUrl(settings) }),
    forcePathStyle: bucketLookup === "path" || (bucketLookup === "auto" && !ofAws),
    // Without these the SDK adds checksum headers that presigned requests and other makes of S3 do not take.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: { connectionTimeout: 10_000, requestTimeout: 60_000, httpsAgent: agent },
  };
}
