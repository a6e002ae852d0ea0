import { s3Error, sdkFailure } from "../../../provider/stores/s3-error";

const request = {
  action: "s3:GetObject",
  bucket: "backups",
  key: "prod/nightly",
  who: "role backup of server s1",
  endpoint: "https://s3.example",
};

test.each([
  [
    { status: 403, code: "AccessDenied" },
    "STORE_DENIED",
    /s3:GetObject on s3:\/\/backups\/prod\/nightly to role backup/,
  ],
  [{ status: 403 }, "STORE_DENIED", /s3:ListBucket is not allowed/],
  [{ status: 404, code: "NoSuchBucket" }, "BUCKET_NOT_FOUND", /backups/],
  [{ status: 404, code: "NoSuchKey" }, "SNAPSHOT_NOT_FOUND", /prod\/nightly/],
  [{ status: 404 }, "SNAPSHOT_NOT_FOUND", /prod\/nightly/],
  [{ status: 301, code: "PermanentRedirect", region: "eu-central-1" }, "INVALID_INPUT", /s3\.region to eu-central-1/],
  [{ status: 400, code: "AuthorizationHeaderMalformed" }, "INVALID_INPUT", /s3\.region/],
  [{ status: 403, code: "RequestTimeTooSkewed" }, "STORE_DENIED", /clock/],
  [{ status: 400, code: "ExpiredToken" }, "STORE_DENIED", /expired/],
  [{ status: 403, code: "InvalidAccessKeyId" }, "STORE_DENIED", /does not accept role backup of server s1/],
  [{ status: 503, code: "SlowDown" }, "STORE_UNREACHABLE", /503 SlowDown/],
  [{ network: "connect ECONNREFUSED" }, "STORE_UNREACHABLE", /from this machine/],
  [{ network: "self-signed certificate", tls: true }, "STORE_UNREACHABLE", /s3\.endpointCa/],
] as const)("%j is %s", (failure, code, words) => {
  const error = s3Error(request, failure);
  expect(error.code).toBe(code);
  expect(error.message).toMatch(words);
});

test("what failed on a server names the server", () => {
  expect(s3Error({ ...request, host: "s2" }, { network: "curl: timeout" })).toMatchObject({
    host: "s2",
    message: expect.stringContaining("from server s2") as string,
  });
});

test("nothing of the SDK's error is kept but its name, status and region", () => {
  const thrown = Object.assign(new Error("the signature does not match"), {
    name: "SignatureDoesNotMatch",
    CanonicalRequest: "x-amz-security-token:session-token",
    $metadata: { httpStatusCode: 403 },
  });
  expect(sdkFailure(thrown)).toEqual({ code: "SignatureDoesNotMatch", status: 403, region: undefined });
});
