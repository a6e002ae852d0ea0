import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandError } from "../../../provider/errors";
import { credentialSource } from "../../../provider/stores/credentials";
import type { HostReader } from "../../../provider/transport/host";

/** A server that answers the question for its role, and nothing else. */
function server(answer: string): HostReader & { asked: number } {
  const refuse = (): never => {
    throw new CommandError("not scripted", { exitCode: 1, stderr: "" });
  };
  return {
    name: "s1",
    asked: 0,
    query(command) {
      if (!command.text.includes("security-credentials")) refuse();
      this.asked += 1;
      return Promise.resolve({ stdout: answer, stderr: "" });
    },
    readFile: refuse,
    readRange: refuse,
  };
}

const role = (fields: object): string => `role\nbackup-role\n${JSON.stringify(fields)}\n`;
const session = {
  Code: "Success",
  AccessKeyId: "ASIA1",
  SecretAccessKey: "role-secret",
  Token: "role-token",
  Expiration: "2030-01-01T00:00:00Z",
};
const before = { ...process.env };
let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "aws-home-"));
  writeFileSync(
    join(home, "credentials"),
    "[backup]\naws_access_key_id = AKIAP\naws_secret_access_key = profile-secret\n",
  );
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
  process.env["AWS_SHARED_CREDENTIALS_FILE"] = join(home, "credentials");
  process.env["AWS_CONFIG_FILE"] = join(home, "config");
  process.env["AWS_EC2_METADATA_DISABLED"] = "true";
});

afterEach(() => {
  process.env = { ...before };
  rmSync(home, { recursive: true });
});

test("keys in the settings are used, whatever else there is; no server is asked", async () => {
  const s1 = server(role(session));
  const keys = { accessKeyId: "AKIA1", secretAccessKey: "secret", sessionToken: "token" };
  const found = await credentialSource({ bucket: "b", profile: "backup", ...keys }, s1)();
  expect(found).toMatchObject(keys);
  expect(s1.asked).toBe(0);
});

test("one key without the other is refused", () => {
  expect(() => credentialSource({ bucket: "b", accessKeyId: "AKIA1" }, undefined)).toThrow(/belong together/);
});

test("a profile is read from this machine, also when the server has a role", async () => {
  const s1 = server(role(session));
  const found = await credentialSource({ bucket: "b", profile: "backup" }, s1)();
  expect(found).toMatchObject({ accessKeyId: "AKIAP", secretAccessKey: "profile-secret" });
  expect(found.who).toBe("profile backup of this machine");
  expect(s1.asked).toBe(0);
});

test("a profile that does not exist is named", async () => {
  await expect(credentialSource({ bucket: "b", profile: "absent" }, undefined)()).rejects.toMatchObject({
    code: "STORE_DENIED",
    message: expect.stringContaining("profile absent") as string,
  });
});

test("without keys and profile, the server's own role signs, until its session ends", async () => {
  const found = await credentialSource({ bucket: "b" }, server(role(session)))();
  expect(found).toEqual({
    accessKeyId: "ASIA1",
    secretAccessKey: "role-secret",
    sessionToken: "role-token",
    expiration: new Date("2030-01-01T00:00:00Z"),
    who: "role backup-role of server s1",
  });
});

test("a server without a role: what this machine has in its environment", async () => {
  process.env["AWS_ACCESS_KEY_ID"] = "AKIAE";
  process.env["AWS_SECRET_ACCESS_KEY"] = "environment-secret";
  const found = await credentialSource({ bucket: "b" }, server("none\n"))();
  expect(found).toMatchObject({ accessKeyId: "AKIAE", who: "the default credentials of this machine" });
});

test("nobody has credentials: the error names the three ways to give them", async () => {
  const refused = credentialSource({ bucket: "b" }, server("none\n"))();
  await expect(refused).rejects.toMatchObject({ code: "STORE_DENIED" });
  await expect(refused).rejects.toThrow(/s1 has no role[^]*s3\.accessKeyId[^]*s3\.profile[^]*instance profile/);
});

test.each([
  ["a role whose answer is not JSON", "role\nbackup-role\n<html>\n", "STORE_DENIED"],
  ["a role whose answer has no key", role({ Code: "Failed" }), "STORE_DENIED"],
  ["a server without curl", "no-curl\n", "TOOL_MISSING"],
])("%s: refused, and no other credentials are used in its place", async (_, answer, code) => {
  process.env["AWS_ACCESS_KEY_ID"] = "AKIAE";
  process.env["AWS_SECRET_ACCESS_KEY"] = "environment-secret";
  await expect(credentialSource({ bucket: "b" }, server(answer))()).rejects.toMatchObject({ code, host: "s1" });
});
