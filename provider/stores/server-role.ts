import { BackupError } from "../errors";
import type { HostReader } from "../transport/host";
import { type Command, sh } from "../transport/shell";
import type { S3Credentials } from "./credentials";

/** Where a machine of AWS finds what is known about itself. */
export const METADATA_SERVICE = "http://169.254.169.254";

/** The credentials of the server's own role (instance profile); undefined when it has none. */
export async function readServerRole(
  server: HostReader,
  metadataService: string = METADATA_SERVICE,
): Promise<S3Credentials | undefined> {
  const { stdout } = await server.query(roleScript(metadataService), { timeoutMs: 30_000 });
  const [outcome = "", role = "", ...json] = stdout.trim().split("\n");
  if (outcome === "none") return undefined;
  if (outcome === "no-curl") {
    throw new BackupError("TOOL_MISSING", "curl is not installed, so that the server's role cannot be read", {
      host: server.name,
      hint: "Install curl there, or give s3.accessKeyId and s3.secretAccessKey, or s3.profile.",
    });
  }
  const answer = outcome === "role" ? parseAnswer(json.join("\n")) : undefined;
  if (answer !== undefined) return { ...answer, who: `role ${role} of server ${server.name}` };
  throw new BackupError("STORE_DENIED", `the metadata service gave no credentials for the role ${role}`, {
    host: server.name,
    hint: "Look there: curl http://169.254.169.254/latest/meta-data/iam/info with a session token says what is wrong.",
  });
}

/** IMDSv2. The session token goes to curl on its standard input: it is as good as the role while it lasts. */
function roleScript(metadataService: string): Command {
  return sh`( : read the role of this server
  command -v curl >/dev/null 2>&1 || { echo no-curl; exit 0; }
  base=${metadataService}/latest
  ask() { curl -q -sS -f --noproxy '*' --connect-timeout 2 --max-time 8 "$@" 2>/dev/null; }
  token=$(ask -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$base/api/token") || { echo none; exit 0; }
  with_token() { printf 'header = "X-aws-ec2-metadata-token: %s"\n' "$token" | ask -K - "$1"; }
  role=$(with_token "$base/meta-data/iam/security-credentials/" | head -n 1)
  [ -n "$role" ] || { echo none; exit 0; }
  echo role
  printf '%s\n' "$role"
  with_token "$base/meta-data/iam/security-credentials/$role" || :
)`;
}

function parseAnswer(text: string): Omit<S3Credentials, "who"> | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof answer !== "object" || answer === null) return undefined;
  const { AccessKeyId, SecretAccessKey, Token, Expiration } = answer as Readonly<Record<string, unknown>>;
  if (typeof AccessKeyId !== "string" || typeof SecretAccessKey !== "string" || typeof Token !== "string") {
    return undefined;
  }
  const expiration = typeof Expiration === "string" ? new Date(Expiration) : undefined;
  return {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: Token,
    ...(expiration === undefined || Number.isNaN(expiration.getTime()) ? {} : { expiration }),
  };
}
