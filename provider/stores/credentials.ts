import { BackupError } from "../errors";
import type { S3Settings } from "../model";
import type { HostReader } from "../transport/host";
import { loadCredentialProviders } from "./aws-sdk";
import { readServerRole } from "./server-role";

/** Credentials as S3's signer takes them, and whose they are, for messages. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** When they end; asked for again before. */
  readonly expiration?: Date;
  readonly who: string;
}

/** Asked whenever S3's signer needs credentials that still hold. */
export type CredentialSource = () => Promise<S3Credentials>;

/**
 * Whose credentials sign what this machine asks of S3: the keys of the settings; else the profile they name; else the
 * role of the server, read over its connection and held in memory; else what this machine has of its own.
 */
export function credentialSource(settings: S3Settings, server: HostReader | undefined): CredentialSource {
  const { accessKeyId, secretAccessKey, sessionToken, profile } = settings;
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    const keys = { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
    return () => Promise.resolve({ ...keys, who: "the keys in s3.accessKeyId and s3.secretAccessKey" });
  }
  if (accessKeyId !== undefined || secretAccessKey !== undefined) {
    throw new BackupError("INVALID_INPUT", "s3.accessKeyId and s3.secretAccessKey belong together: only one is given");
  }
  if (profile !== undefined) return () => fromProfile(profile);
  return async () => {
    const role = server === undefined ? undefined : await readServerRole(server);
    return role ?? (await fromThisMachine(server));
  };
}

async function fromProfile(profile: string): Promise<S3Credentials> {
  const { fromIni } = loadCredentialProviders();
  try {
    return { ...plain(await fromIni({ profile })()), who: `profile ${profile} of this machine` };
  } catch (error) {
    throw new BackupError("STORE_DENIED", `profile ${profile} of this machine gives no credentials: ${said(error)}`, {
      hint: `Check it with \`aws sts get-caller-identity --profile ${profile}\`, or log in to it again.`,
    });
  }
}

async function fromThisMachine(server: HostReader | undefined): Promise<S3Credentials> {
  const { fromNodeProviderChain } = loadCredentialProviders();
  try {
    return { ...plain(await fromNodeProviderChain()()), who: "the default credentials of this machine" };
  } catch (error) {
    const role = server === undefined ? "" : `server ${server.name} has no role of its own, and `;
    throw new BackupError("STORE_DENIED", `no credentials for S3: ${role}this machine has none: ${said(error)}`, {
      hint: "Give s3.accessKeyId and s3.secretAccessKey; or s3.profile, or credentials in this machine's environment; or a role (instance profile) to the servers.",
    });
  }
}

interface ProvidedIdentity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

function plain({ accessKeyId, secretAccessKey, sessionToken, expiration }: ProvidedIdentity): ProvidedIdentity {
  return {
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    ...(expiration === undefined ? {} : { expiration }),
  };
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
