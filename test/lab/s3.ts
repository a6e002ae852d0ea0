import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { LabParts } from "./lab";
import { isAlive, type ProcessMark, run } from "./process";
import { waitFor } from "./wait";

export interface S3Options {
  /** @default true */
  readonly tls?: boolean;
  /** Users with policies of their own, see `createUser`. @default false */
  readonly identities?: boolean;
  /** @default "us-east-1" */
  readonly region?: string;
}

export interface S3Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** An S3 that this machine and the lab's machines reach: versitygw on the bridge's address. The keys are those of its owner. */
export interface S3 extends S3Keys {
  /** `address:port` */
  readonly endpoint: string;
  /** The endpoint with its scheme, for clients that want a URL. */
  readonly url: string;
  readonly region: string;
  /** The lab's authority; undefined without TLS. */
  readonly caPem: string | undefined;
  /** Where the objects lie as files: `<dir>/<bucket>/<key>`. */
  readonly dir: string;
  createBucket(name: string): Promise<void>;
  /** A user who may do what the policy (a document of AWS) says and nothing else. Needs `identities`. */
  createUser(name: string, policy: object): Promise<S3Keys>;
}

export async function startS3(lab: LabParts, options: S3Options = {}): Promise<S3> {
  const { tls = true, identities = false, region = "us-east-1" } = options;
  const { s3Port, iamPort } = { s3Port: 7070, iamPort: 7075 };
  const base = join(lab.directory, "s3");
  const folder = (name: string): string => join(base, name);
  if (existsSync(base)) throw new Error("the lab has an S3 already");
  // Versions must not lie among the objects.
  for (const name of ["data", "versions", "users"]) mkdirSync(folder(name), { recursive: true });
  const keys = {
    accessKeyId: `LAB${randomBytes(8).toString("hex").toUpperCase()}`,
    secretAccessKey: randomBytes(20).toString("hex"),
  };
  const certificate = tls ? await lab.authority.issue("s3", [lab.network.gateway]) : undefined;
  const secured = certificate === undefined ? [] : ["--cert", certificate.certPath, "--key", certificate.keyPath];
  const socket = folder("identities.socket");
  const env = { PATH: process.env["PATH"], ROOT_ACCESS_KEY: keys.accessKeyId, ROOT_SECRET_KEY: keys.secretAccessKey };
  const start = (name: string, words: readonly string[]): ProcessMark =>
    lab.group.start("s3", join(lab.equipment.versitygw, "versitygw"), ["--region", region, ...words], {
      log: folder(`${name}.log`),
      env,
    });

  if (identities) {
    const at = ["--port", `${lab.network.gateway}:${iamPort}`];
    const iam = start("iam", [...at, "iam", "--dir", folder("users"), "--private-ports", socket]);
    await waitFor("the S3's users can be asked", () => ready(iam, folder("iam.log"), existsSync(socket)), {
      deadlineMs: 15_000,
    });
  }
  const asking = identities ? ["--iam-standalone-endpoint", socket, "--iam-cache-disable"] : [];
  const at = ["--port", `${lab.network.gateway}:${s3Port}`];
  const gateway = start("s3", [
    ...at,
    ...secured,
    ...asking,
    "posix",
    "--versioning-dir",
    folder("versions"),
    folder("data"),
  ]);
  const endpoint = `${lab.network.gateway}:${s3Port}`;
  const url = `${tls ? "https" : "http"}://${endpoint}`;
  const curl = (words: readonly string[], to: string, service: string): Promise<string> =>
    signedCurl({ words, url: to, service, region, keys, caPath: lab.authority.caPath });
  await waitFor("S3 answers", async () => ready(gateway, folder("s3.log"), (await curl([], `${url}/`, "s3")) !== ""), {
    deadlineMs: 15_000,
  });
  return {
    ...{ endpoint, url, region, ...keys, dir: folder("data"), caPem: tls ? lab.authority.caPem : undefined },
    createBucket: async (name) => {
      await curl(["--request", "PUT"], `${url}/${name}`, "s3");
    },
    createUser: async (name, policy) => {
      if (!identities) throw new Error("start the S3 with identities for users of its own");
      const ask = (parameters: Readonly<Record<string, string>>): Promise<string> =>
        curl(
          ["--data", new URLSearchParams({ Version: "2010-05-08", UserName: name, ...parameters }).toString()],
          `http://${lab.network.gateway}:${iamPort}/`,
          "iam",
        );
      await ask({ Action: "CreateUser" });
      await ask({ Action: "PutUserPolicy", PolicyName: "lab", PolicyDocument: JSON.stringify(policy) });
      const answer = await ask({ Action: "CreateAccessKey" });
      return { accessKeyId: element(answer, "AccessKeyId"), secretAccessKey: element(answer, "SecretAccessKey") };
    },
  };
}

/** Not yet, or never when it has ended. */
function ready(daemon: ProcessMark, log: string, answered: boolean): true | undefined {
  if (!isAlive(daemon)) throw new Error(readFileSync(log, "utf8").slice(-1000));
  return answered ? true : undefined;
}

interface Request {
  readonly words: readonly string[];
  readonly url: string;
  readonly service: string;
  readonly region: string;
  readonly keys: S3Keys;
  readonly caPath: string;
}

/** curl signs these few requests well enough. Our own client is not asked: it is what the lab is there to test. */
function signedCurl({ words, url, service, region, keys, caPath }: Request): Promise<string> {
  const config = `user = "${keys.accessKeyId}:${keys.secretAccessKey}"\naws-sigv4 = "aws:amz:${region}:${service}"\n`;
  const unsigned = service === "s3" ? ["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"] : [];
  const fixed = [
    "--silent",
    "--show-error",
    "--fail-with-body",
    "--noproxy",
    "*",
    "--max-time",
    "10",
    "--cacert",
    caPath,
  ];
  return run("curl", [...fixed, "--config", "-", ...unsigned, ...words, url], { stdin: config });
}

function element(xml: string, name: string): string {
  const [, value] = new RegExp(`<${name}>([^<]+)</${name}>`).exec(xml) ?? [];
  if (value === undefined) throw new Error(`no ${name} in the answer`);
  return value;
}
