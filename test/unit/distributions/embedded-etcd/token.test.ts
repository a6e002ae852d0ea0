import { hashToken } from "../../../../provider/distributions/embedded-etcd/token";

// Recorded: the snapshot's key /bootstrap/… beside the token that the server had.
test.each([
  ["a-token", "1f6076e3a47b"],
  [" a-token\n", "1f6076e3a47b"],
  ["K10c0ffee::server:a-token", "1f6076e3a47b"],
  ["K10c0ffee::node:a-token\n", "1f6076e3a47b"],
  ["K10::server:a-token", "1f6076e3a47b"],
])("the hash of %j is %s, like that of its password", (token, hash) => {
  expect(hashToken(token)).toBe(hash);
});

test("a password may have colons, and a bare token may look like half of a whole one", () => {
  expect(hashToken("K10c0ffee::server:pa::ss:word")).toBe(hashToken("pa::ss:word"));
  const all = ["server:a-token", "abc::server:a-token", "a-token"].map(hashToken);
  expect(new Set(all).size).toBe(all.length);
});
