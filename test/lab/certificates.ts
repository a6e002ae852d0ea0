import { readFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "./process";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
  readonly certPath: string;
  readonly keyPath: string;
}

export interface CertificateAuthority {
  /** Its own certificate. */
  readonly caPem: string;
  readonly caPath: string;
  /** A certificate for a server and a client in one, valid for the given addresses and names. */
  issue(commonName: string, validFor?: readonly string[]): Promise<Certificate>;
}

/** Makes a certificate authority of the lab's own. */
export async function createAuthority(directory: string, name: string): Promise<CertificateAuthority> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { key, cert } = { key: join(directory, "ca.key"), cert: join(directory, "ca.crt") };
  await run("openssl", [...newCertificate(key, cert, name), "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
  return openAuthority(directory);
}

export function openAuthority(directory: string): CertificateAuthority {
  const caPath = join(directory, "ca.crt");
  let count = 0;
  return {
    caPath,
    caPem: readFileSync(caPath, "utf8"),
    issue: async (commonName, validFor = []) => {
      const file = join(directory, `${commonName}-${process.pid}-${count++}`);
      const { keyPath, certPath } = { keyPath: `${file}.key`, certPath: `${file}.crt` };
      const names = validFor.map((name) => `${/^[\d.]+$/.test(name) ? "IP" : "DNS"}:${name}`).join(",");
      await run("openssl", [
        ...newCertificate(keyPath, certPath, commonName),
        ...["-CA", caPath, "-CAkey", join(directory, "ca.key")],
        ...["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth,clientAuth"],
        ...(names === "" ? [] : ["-addext", `subjectAltName=${names}`]),
      ]);
      return { certPath, keyPath, cert: readFileSync(certPath, "utf8"), key: readFileSync(keyPath, "utf8") };
    },
  };
}

function newCertificate(key: string, cert: string, commonName: string): readonly string[] {
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", key];
  return ["req", "-x509", "-sha256", "-days", "30", ...newKey, "-out", cert, "-subj", `/CN=${commonName}`];
}
