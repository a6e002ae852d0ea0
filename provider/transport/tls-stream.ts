import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect, type TLSSocket } from "node:tls";

export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** TLS over a stream that is already there. The certificate must be for `address`, a name or an IP address. */
export function openTlsStream(plain: Duplex, address: string, files: TlsFiles): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secure = connect({
      socket: plain,
      host: address,
      // The protocol has no server name for an IP address; the certificate is checked against `host` then.
      ...(isIP(address) === 0 ? { servername: address } : {}),
      ALPNProtocols: ["h2"],
      ...(files.ca === undefined ? {} : { ca: files.ca }),
      ...(files.cert === undefined ? {} : { cert: files.cert }),
      ...(files.key === undefined ? {} : { key: files.key }),
    });
    const fail = (error: Error) => {
      secure.destroy();
      plain.destroy();
      reject(new Error(`TLS with ${address}: ${error.message}`, { cause: error }));
    };
    secure.once("error", fail);
    const closed = () => fail(new Error("the connection was closed"));
    secure.once("close", closed);
    secure.once("secureConnect", () => {
      secure.off("error", fail);
      secure.off("close", closed);
      resolve(secure);
    });
  });
}
