import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashToken, hashTokenFile } from "../../../../provider/distributions/embedded-etcd/token";
import { scriptHost } from "../../../support/script-host";

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

test("a server hashes a file's token in the same way, and an empty or missing file has none", async () => {
  const host = scriptHost();
  try {
    const path = join(host.root, "the token");
    for (const token of ["a-token\n", "K10c0ffee::server:pa::ss:word\n", "it's $HOME\\n"]) {
      writeFileSync(path, token);
      expect([token, await hashTokenFile(host, path)]).toEqual([token, hashToken(token)]);
    }
    writeFileSync(path, "");
    expect(await hashTokenFile(host, path)).toBeUndefined();
    expect(await hashTokenFile(host, `${path} is not here`)).toBeUndefined();
  } finally {
    host.remove();
  }
});
