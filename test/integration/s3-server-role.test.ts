import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { readServerRole } from "../../provider/stores/server-role";
import { connect } from "../../provider/transport/connect";
import { freePort } from "../support/s3-gateway";

/** A stand-in for the metadata service of AWS (IMDSv2): no answer without its session token. */
async function startMetadata(role: string | undefined): Promise<{ url: string; server: Server }> {
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = request.url ?? "";
    const end = (status: number, body: string): void => void response.writeHead(status).end(body);
    if (request.method === "PUT" && path === "/latest/api/token") return end(200, "imds-session");
    if (request.headers["x-aws-ec2-metadata-token"] !== "imds-session") return end(401, "");
    if (path === "/latest/meta-data/iam/security-credentials/") return end(role === undefined ? 404 : 200, role ?? "");
    if (role !== undefined && path.endsWith(`/${role}`)) {
      const fields = { AccessKeyId: "ASIA1", SecretAccessKey: "s", Token: "t", Expiration: "2030-01-01T00:00:00Z" };
      return end(200, JSON.stringify({ Code: "Success", ...fields }, undefined, 2));
    }
    end(404, "");
  };
  const server = createServer(answer);
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${port}`, server };
}

test("a server's role is read with a session token (metadata service: a stand-in)", async () => {
  const s1 = await connect("s1", { local: true });
  const { url, server } = await startMetadata("backup-role");
  const role = await readServerRole(s1, url).finally(() => server.close());
  expect(role).toMatchObject({ accessKeyId: "ASIA1", sessionToken: "t", who: "role backup-role of server s1" });
});

test("a machine of AWS without a role has none (metadata service: a stand-in)", async () => {
  const s1 = await connect("s1", { local: true });
  const { url, server } = await startMetadata(undefined);
  expect(await readServerRole(s1, url).finally(() => server.close())).toBeUndefined();
});

test("a machine outside AWS has no role", async () => {
  const s1 = await connect("s1", { local: true });
  expect(await readServerRole(s1, `http://127.0.0.1:${await freePort()}`)).toBeUndefined();
});
