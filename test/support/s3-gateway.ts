import {
  CreateBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { S3Settings } from "../../provider/model";
import { createAuthority } from "../lab/certificates";
import { readEquipment } from "../lab/equipment";

const run = promisify(execFile);

/** A real S3 (versitygw) with TLS, a certificate authority of its own, and two identities. */
export interface S3Gateway {
  readonly directory: string;
  readonly port: number;
  /** Settings of the owner of everything. */
  settings(bucket: string): S3Settings;
  /** Settings of somebody whom no bucket was given to. */
  stranger(bucket: string): S3Settings;
  makeBucket(name: string): Promise<void>;
  put(bucket: string, key: string, body: Buffer): Promise<void>;
  contentType(bucket: string, key: string): Promise<string | undefined>;
  /** Keys of the uploads in parts that were begun and neither completed nor aborted. */
  unfinishedUploads(bucket: string): Promise<string[]>;
  stop(): Promise<void>;
}

export async function startS3Gateway(): Promise<S3Gateway> {
  const directory = await mkdtemp(join(tmpdir(), "s3-gateway-"));
  const data = join(directory, "data");
  const iam = join(directory, "iam");
  await Promise.all([mkdir(data), mkdir(iam)]);
  const authority = await createAuthority(join(directory, "authority"), "test authority");
  const { certPath, keyPath } = await authority.issue("s3", ["127.0.0.1", "localhost"]);
  const ca = authority.caPem;
  const accounts = {
    "stranger-access": { access: "stranger-access", secret: "stranger-secret-4711", role: "user" },
  };
  await writeFile(join(iam, "users.json"), JSON.stringify({ accessAccounts: accounts }));
  const port = await freePort();
  const gateway = spawn(
    join(readEquipment().versitygw, "versitygw"),
    [
      ...["--port", `127.0.0.1:${port}`, "--cert", certPath, "--key", keyPath],
      ...["--iam-dir", iam, "--health", "/health", "--quiet", "posix", data],
    ],
    { env: { ROOT_ACCESS_KEY: "owner-access", ROOT_SECRET_KEY: OWNER_SECRET }, stdio: ["ignore", "ignore", "pipe"] },
  );
  let said = "";
  gateway.stderr.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
  const ended = new Promise<string>((resolve) => {
    gateway.on("error", (error) => resolve(error.message));
    gateway.on("exit", (code) => resolve(`exit ${code}: ${said}`));
  });
  const answers = run("curl", [
    ...["-q", "-sS", "-f", "--cacert", authority.caPath, "--retry", "40", "--retry-delay", "1"],
    ...["--retry-connrefused", "--retry-max-time", "40", `https://127.0.0.1:${port}/health`],
  ]);
  await Promise.race([answers, ended.then((why) => Promise.reject(new Error(`versitygw did not start: ${why}`)))]);

  const client = new S3Client({
    endpoint: `https://127.0.0.1:${port}`,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: "owner-access", secretAccessKey: OWNER_SECRET },
    requestHandler: { httpsAgent: new Agent({ ca }) },
  });
  const common = { endpoint: `127.0.0.1:${port}`, endpointCa: ca };
  return {
    directory,
    port,
    settings: (bucket) => ({ ...common, bucket, accessKeyId: "owner-access", secretAccessKey: OWNER_SECRET }),
    stranger: (bucket) => ({
      ...common,
      bucket,
      accessKeyId: "stranger-access",
      secretAccessKey: "stranger-secret-4711",
    }),
    async makeBucket(name) {
      await client.send(new CreateBucketCommand({ Bucket: name }));
    },
    async put(bucket, key, body) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
    },
    async contentType(bucket, key) {
      return (await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))).ContentType;
    },
    async unfinishedUploads(bucket) {
      const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      return (Uploads ?? []).map((upload) => upload.Key ?? "");
    },
    async stop() {
      client.destroy();
      gateway.kill();
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The owner's secret key, to look for it where it must not be. */
export const OWNER_SECRET = "owner-secret-0815";

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
