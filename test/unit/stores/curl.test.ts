import { curlConfig, curlFailure } from "../../../provider/stores/curl";
import { redact } from "../../../provider/transport/shell";

const url = "https://s3.example/b/k?X-Amz-Security-Token=the%2Ftoken&X-Amz-Signature=abc123";

test("a config quotes what curl would read otherwise", () => {
  const { text } = curlConfig({ bucket: "b", skipTlsVerify: true }, url, { "If-Match": '"etag\\"' });
  expect(text).toBe(`'url = "${url}"\nheader = "If-Match: \\"etag\\\\\\""\ninsecure'`);
});

test("of a presigned URL no part is shown, nor a proxy's password", () => {
  const { secrets } = curlConfig({ bucket: "b", proxy: "http://user:pass@proxy:1" }, url, {});
  const shown = redact(`curl: ${url} and ?X-Amz-Signature=abc123 via http://user:pass@proxy:1`, secrets);
  expect(shown).not.toMatch(/abc123|token|pass/);
});

test.each([
  ["failed 22 403 AccessDenied\ncurl: (22) said\n", { exit: 22, status: 403, code: "AccessDenied" }],
  ["failed 7 000 -\ncurl: (7) Failed to connect\n", { exit: 7, network: "curl: Failed to connect", tls: false }],
  ["failed 60 000 -\ncurl: (60) SSL certificate problem\n", { exit: 60, tls: true }],
  ["failed 18 200 -\ncurl: (18) cut\n", { exit: 18, status: 200, network: "curl: cut" }],
  ['part 1 "x"\nfailed 55 500 InternalError\n\n', { exit: 55, status: 500, code: "InternalError" }],
])("%j is read", (stdout, failure) => {
  expect(curlFailure(stdout)).toMatchObject(failure);
});

test("an output without a failure has none", () => {
  expect(curlFailure("sent\n")).toBeUndefined();
});
