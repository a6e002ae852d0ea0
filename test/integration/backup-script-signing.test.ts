import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";
import { SignatureV4 } from "@smithy/signature-v4";
import { type Random, randomFrom } from "../support/random";
import { callScript, quoted, shells } from "../support/script-functions";

/** RFC 4231, test cases 1 to 4, 6 and 7. The key as hexadecimal, the data as text. */
const rfc4231 = [
  ["0b".repeat(20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"],
  [
    Buffer.from("Jefe").toString("hex"),
    "what do ya want for nothing?",
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  ],
  [
    "aa".repeat(131),
    "Test Using Larger Than Block-Size Key - Hash Key First",
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  ],
  [
    "aa".repeat(131),
    "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
    "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
  ],
] as const;

describe.each(shells.map((shell) => ({ shell, name: shell[0] })))("in $name", ({ shell }) => {
  test("the HMAC of RFC 4231 comes out, also for keys longer than a block", () => {
    const lines = rfc4231.map(([key, data]) => `hmac ${key} ${quoted(data)}; echo "$hmac_hex"`);
    expect(callScript(shell, lines).trim().split("\n")).toEqual(rfc4231.map(([, , expected]) => expected));
  });

  test("any key of HMAC, with every byte in it, gives what OpenSSL gives", () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const keys = [all, ...[0, 1, 63, 64, 65].map((length) => all.subarray(200 - length, 200))];
    const lines = keys.map((key) => `hmac '${key.toString("hex")}' 'data'; echo "$hmac_hex"`);
    const expected = keys.map((key) => createHmac("sha256", key).update("data").digest("hex"));
    expect(callScript(shell, lines).trim().split("\n")).toEqual(expected);
  });

  test("requests with any key, query, session and secret are signed as the SDK signs them", async () => {
    const requests = Array.from({ length: 60 }, (_, index) => randomRequest(randomFrom(index + 1)));
    const lines = requests.flatMap((r) => [
      `access_key_id=${quoted(r.accessKeyId)} secret_access_key=${quoted(r.secretAccessKey)}`,
      `session_token=${quoted(r.sessionToken ?? "")} s3_region=${quoted(r.region)}`,
      `encode ${quoted(r.key)} path; url_path="/$encoded"`,
      `encode ${quoted(r.prefix)} ''; query="${r.prefix === "" ? "" : "delimiter=%2F&list-type=2&prefix=$encoded"}"`,
      `sign ${r.method} ${r.host} "$url_path" "$query" ${r.bodyHash} ${r.time} ${quoted(r.checksum)}`,
      `echo "$url_path"; echo "$authorization"`,
    ]);
    const answered = callScript(shell, lines).trimEnd().split("\n");
    const expected = await Promise.all(requests.map(signWithSdk));
    expect(answered).toEqual(expected.flat());
  });
});

interface SignedRequest {
  readonly method: string;
  readonly host: string;
  readonly region: string;
  readonly key: string;
  readonly prefix: string;
  readonly bodyHash: string;
  readonly time: string;
  readonly checksum: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | undefined;
}

function randomRequest(random: Random): SignedRequest {
  const text = (letters: readonly string[], most: number): string =>
    Array.from({ length: 1 + random(most) }, () => letters[random(letters.length)]).join("");
  const pick = <T>(values: readonly [T, ...T[]]): T => values[random(values.length)] ?? values[0];
  const nasty = [..."abzAZ019-._~ +&=?%#/!*'()$@:;,[]{}|^\"<>\\", "ü", "ß", "日", "🗄", "é"];
  const seconds = 1_600_000_000 + random(400_000_000);
  return {
    method: pick(["PUT", "HEAD", "GET", "DELETE"]),
    host: pick(["s3.eu-central-1.amazonaws.com", "bucket.s3.us-east-1.amazonaws.com", "127.0.0.1:7070", "minio:9000"]),
    region: pick(["us-east-1", "eu-central-1", "garage"]),
    // Two slashes beside each other would be one path to the SDK's signer, not to S3.
    key: `f/${text(nasty, 40).replaceAll(/\/+/g, "/")}x`,
    prefix: pick(["", text(nasty, 20)]),
    bodyHash: createHash("sha256").update(String(seconds)).digest("hex"),
    time: new Date(seconds * 1000).toISOString().replaceAll(/[-:]|\.\d+/g, ""),
    checksum: pick([
      "",
      "x-amz-checksum-mode:ENABLED",
      "x-amz-checksum-sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    ]),
    accessKeyId: text([..."ABCDEFGH0123456789"], 20),
    secretAccessKey: text([..."abcXYZ0189/+=%\\'\"$` "], pick([40, 40, 100])),
    sessionToken: pick([undefined, text([..."abcXYZ0189/+="], 600)]),
  };
}

/** The path and the Authorization header as the SDK makes them. */
async function signWithSdk(request: SignedRequest): Promise<readonly string[]> {
  const signer = new SignatureV4({
    service: "s3",
    region: request.region,
    credentials: {
      accessKeyId: request.accessKeyId,
      secretAccessKey: request.secretAccessKey,
      ...(request.sessionToken === undefined ? {} : { sessionToken: request.sessionToken }),
    },
    sha256: NodeSha256,
    uriEscapePath: false,
  });
  const path = `/${request.key.split("/").map(percentEncode).join("/")}`;
  const [checksumName, checksumValue] = request.checksum.split(/:(.*)/s);
  const { headers } = await signer.sign(
    {
      method: request.method,
      protocol: "https:",
      hostname: request.host,
      path,
      query: request.prefix === "" ? {} : { prefix: request.prefix, "list-type": "2", delimiter: "/" },
      headers: {
        host: request.host,
        "x-amz-content-sha256": request.bodyHash,
        ...(request.method === "PUT" ? { "x-amz-meta-sha256": request.bodyHash } : {}),
        ...(checksumName === "" || checksumName === undefined ? {} : { [checksumName]: checksumValue ?? "" }),
      },
    },
    { signingDate: new Date(request.time.replace(/(....)(..)(..T..)(..)(..Z)/, "$1-$2-$3:$4:$5")) },
  );
  return [path, headers.authorization ?? ""];
}

function percentEncode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

class NodeSha256 {
  private readonly hash: Hash | Hmac;
  constructor(key?: string | ArrayBuffer | ArrayBufferView) {
    this.hash = key === undefined ? createHash("sha256") : createHmac("sha256", bytes(key));
  }
  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.hash.update(bytes(data));
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(this.hash.digest()));
  }
  reset(): void {
    throw new Error("the signer is not expected to reset");
  }
}

function bytes(data: string | ArrayBuffer | ArrayBufferView): Buffer {
  if (typeof data === "string") return Buffer.from(data);
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data);
}
