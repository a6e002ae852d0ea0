// A stand-in for a machine in a cloud: an instance metadata service and an S3, in a network of their own.
// usage: node role-stand-in.mjs '<options as JSON>' <command> …      The options are read with their defaults below.
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";

const [given, program, ...words] = process.argv.slice(2);
const { record, metadata = "role", s3 = "honest", keys } = JSON.parse(given);
const objects = new Map();
let refused = 0;

/** The metadata service, version 2 only: without a token nothing is said. */
const metadataService = createServer((request, response) => {
  const answer = (status, body = "") => response.writeHead(status).end(body);
  if (metadata === "silent") return answer(404);
  if (request.url === "/latest/api/token") {
    const asked = request.method === "PUT" && request.headers["x-aws-ec2-metadata-token-ttl-seconds"];
    return asked ? answer(200, "metadata-token") : answer(400);
  }
  if (request.headers["x-aws-ec2-metadata-token"] !== "metadata-token") return answer(401);
  if (metadata === "no role") return answer(404);
  if (request.url === "/latest/meta-data/iam/security-credentials/") return answer(200, "backup-role");
  if (request.url !== "/latest/meta-data/iam/security-credentials/backup-role") return answer(404);
  const end = new Date(Date.now() + (metadata === "expired" ? -60_000 : 3_600_000));
  const { accessKeyId, secretAccessKey, sessionToken } = keys;
  const Expiration = end.toISOString().replace(/\.\d+/, "");
  const document = {
    Code: "Success",
    Type: "AWS-HMAC",
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    Token: sessionToken,
    Expiration,
  };
  return answer(200, JSON.stringify(document, undefined, 2).replaceAll("/", "\\/"));
});

const s3Service = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    const url = new URL(request.url, `http://${request.headers.host}`);
    const via = request.headers["proxy-authorization"];
    appendFileSync(
      record,
      `${request.method} ${request.headers.host}${url.pathname}${via === undefined ? "" : ` via ${via}`}\n`,
    );
    const answer = (status, text = "", headers = {}) => response.writeHead(status, headers).end(text);
    const error = (status, code) => answer(status, `<Error><Code>${code}</Code><Message>as told</Message></Error>`);
    if (s3 === "garbage") return answer(200, "<html>log in to the hotel</html>");
    if (s3 === "busy at first" && refused++ < 1) return error(503, "SlowDown");
    if (request.headers["x-amz-security-token"] !== keys.sessionToken) return error(403, "InvalidToken");
    if (createHash("sha256").update(body).digest("hex") !== request.headers["x-amz-content-sha256"]) {
      return error(400, "XAmzContentSHA256Mismatch");
    }
    if (request.headers.authorization !== authorization(request, url)) return error(403, "SignatureDoesNotMatch");
    if (url.searchParams.get("list-type") === "2") {
      if (s3 === "listless") return answer(200, "<html></html>");
      const bucketless = [...objects.keys()].map((path) => path.replace(/^\/bucket\//, "/").slice(1));
      return answer(
        200,
        `<ListBucketResult>${bucketless.map((key) => `<Contents><Key>${key}</Key></Contents>`).join("")}</ListBucketResult>`,
      );
    }
    const found = objects.get(url.pathname);
    switch (request.method) {
      case "PUT":
        if (s3 !== "forgetful") objects.set(url.pathname, { body, checksum: request.headers["x-amz-checksum-sha256"] });
        return answer(200);
      case "HEAD":
        if (found === undefined) return answer(404);
        return answer(200, "", {
          "content-length": found.body.length - (s3 === "short" ? 1 : 0),
          "x-amz-checksum-sha256": s3 === "altered" ? "AAAA" : found.checksum,
        });
      case "DELETE":
        if (s3 === "undeletable") return error(403, "AccessDenied");
        objects.delete(url.pathname);
        return answer(204);
      default:
        return answer(405);
    }
  });
});

/** The signature that a request must have, from what came over the wire. */
function authorization(request, url) {
  const [, scope, names] =
    /Credential=[^/]+\/([^,]+), SignedHeaders=([^,]+)/.exec(request.headers.authorization ?? "") ?? [];
  if (scope === undefined) return undefined;
  const amz = Object.keys(request.headers).filter((name) => name.startsWith("x-amz-"));
  if (amz.some((name) => !names.split(";").includes(name))) return undefined;
  const headers = names
    .split(";")
    .map((name) => `${name}:${request.headers[name]}\n`)
    .join("");
  const query = url.search.slice(1).split("&").sort().join("&");
  const canonical = [request.method, url.pathname, query, headers, names, request.headers["x-amz-content-sha256"]].join(
    "\n",
  );
  const hash = createHash("sha256").update(canonical).digest("hex");
  const text = ["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, hash].join("\n");
  const hmac = (key, data) => createHmac("sha256", key).update(data).digest();
  const key = scope.split("/").reduce(hmac, `AWS4${keys.secretAccessKey}`);
  const signature = hmac(key, text).toString("hex");
  return `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
}

const listen = (server, port, address) => new Promise((resolve) => server.listen(port, address, resolve));
await listen(s3Service, 9000, "127.0.0.1");
if (metadata !== "none") await listen(metadataService, 80, "169.254.169.254");
spawn(program, words, { stdio: "inherit" }).on("close", (code) => process.exit(code ?? 1));
