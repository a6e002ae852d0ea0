import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  findKnownHost,
  fingerprint,
  hostKeyAlgorithms,
  knownHostsLine,
  parsePublicKey,
  type PublicKey,
} from "../../../provider/transport/known-hosts";

const folder = mkdtempSync(join(tmpdir(), "known-hosts-"));

/** ssh-keygen is the oracle. */
function generate(type: string, ...more: string[]): PublicKey {
  const path = join(folder, `key-${type}-${more.join("")}-${Math.random()}`);
  execFileSync("ssh-keygen", ["-q", "-t", type, ...more, "-N", "", "-f", path]);
  const key = parsePublicKey(readFileSync(`${path}.pub`, "utf8"));
  if (key === undefined) throw new Error("ssh-keygen's own key was not understood");
  expect(execFileSync("ssh-keygen", ["-lf", `${path}.pub`], { encoding: "utf8" })).toContain(` ${fingerprint(key)} `);
  return key;
}

const ed25519 = generate("ed25519");
const rsa = generate("rsa", "-b", "2048");
const ecdsa = generate("ecdsa");
const text = (key: PublicKey) => `${key.type} ${key.blob.toString("base64")}`;
const keysOf = (knownHosts: string, host: string, port = 22) => findKnownHost(knownHosts, host, port).keys;

test("plain names, several on a line, in any case, comments and blank lines between", () => {
  const file = `# comment\n\ns1,S1.example.org,10.0.0.1 ${text(ed25519)} root@s1\r\n  \n`;
  for (const name of ["s1", "s1.Example.ORG", "10.0.0.1"]) expect(keysOf(file, name)).toEqual([ed25519]);
  expect(keysOf(file, "s2")).toEqual([]);
  expect(keysOf(file, "s1", 2222)).toEqual([]);
});

test("a port other than 22 stands in the name", () => {
  const file = knownHostsLine("s1", 2222, ed25519);
  expect(file).toBe(`[s1]:2222 ${text(ed25519)}`);
  expect(keysOf(file, "s1", 2222)).toEqual([ed25519]);
  expect(keysOf(file, "s1")).toEqual([]);
  expect(knownHostsLine("s1", 22, ed25519)).toBe(`s1 ${text(ed25519)}`);
});

test("wildcards match, and a negated pattern rules the line out wherever it stands", () => {
  const file = `*.example.org,!bad.example.org ${text(ed25519)}\n10.0.0.? ${text(rsa)}\n[*.example.org]:22?? ${text(ecdsa)}`;
  expect(keysOf(file, "a.example.org")).toEqual([ed25519]);
  expect(keysOf(file, "bad.example.org")).toEqual([]);
  expect(keysOf(file, "example.org")).toEqual([]);
  expect(keysOf(file, "10.0.0.7")).toEqual([rsa]);
  expect(keysOf(file, "10.0.0.77")).toEqual([]);
  expect(keysOf(file, "10a0.0.7")).toEqual([]);
  expect(keysOf(file, "a.example.org", 2200)).toEqual([ecdsa]);
});

test("hashed names, as ssh-keygen -H writes them", () => {
  const path = join(folder, "known_hosts");
  writeFileSync(path, `s1 ${text(ed25519)}\n[s2]:2222 ${text(rsa)}\n`);
  execFileSync("ssh-keygen", ["-H", "-f", path], { stdio: "ignore" });
  const file = readFileSync(path, "utf8");
  expect(file.split("\n").filter((line) => line.startsWith("|1|"))).toHaveLength(2);
  expect(keysOf(file, "s1")).toEqual([ed25519]);
  expect(keysOf(file, "s2", 2222)).toEqual([rsa]);
  expect(keysOf(file, "s2")).toEqual([]);
});

test("several keys of one host all count, and decide what is asked for: RSA signs with SHA-2", () => {
  const keys = keysOf(`s1 ${text(rsa)}\ns1 ${text(ed25519)}\n`, "s1");
  expect(keys).toEqual([rsa, ed25519]);
  expect(hostKeyAlgorithms(keys)).toEqual(["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
  expect(hostKeyAlgorithms([ecdsa])).toEqual(["ecdsa-sha2-nistp256"]);
});

test("revoked keys and certificate authorities are told apart from known keys", () => {
  const file = `@revoked * ${text(rsa)}\n@cert-authority *.example.org ${text(ecdsa)}\ns1.example.org ${text(ed25519)}`;
  expect(findKnownHost(file, "s1.example.org", 22)).toEqual({
    keys: [ed25519],
    revoked: [rsa],
    hasCertificateAuthority: true,
  });
  expect(findKnownHost(file, "s2", 22)).toEqual({ keys: [], revoked: [rsa], hasCertificateAuthority: false });
});

test("lines that cannot be read are no keys", () => {
  const lies = [
    `s1`,
    `s1 ssh-ed25519`,
    `s1 ssh-ed25519 !!!!`,
    `s1 ssh-rsa ${ed25519.blob.toString("base64")}`,
    `|1|x s1`,
    "s1 1024 35 1234",
  ];
  expect(keysOf(lies.join("\n"), "s1")).toEqual([]);
  expect(parsePublicKey("")).toBeUndefined();
  expect(parsePublicKey("ssh-ed25519 AAAA")).toBeUndefined();
});
