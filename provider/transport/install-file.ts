import { writeFileScript } from "./file-scripts";
import { type Command, secret, sh, titled } from "./shell";

/**
 * A script that writes a text file whole or not at all, as one step of a larger script; it fails without ending it.
 * The content travels as part of the script, which is never an argument of a process.
 */
export function installFile(path: string, content: string, mode: number): Command {
  const write = writeFileScript(path, Buffer.byteLength(content), mode);
  return titled(`write ${path}`, sh`printf '%s' ${secret(content)} | ( ${write} )`);
}
