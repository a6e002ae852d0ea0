import { execFileSync } from "node:child_process";
import { quote, rawScript, redact, script, secret, sh } from "../../../provider/transport/shell";

/** Words made of what shells trip over, the same ones on every run. */
function oddWords(count: number): string[] {
  const pieces = [
    "'",
    '"',
    "\\",
    "$",
    "`",
    "!",
    "*",
    "?",
    " ",
    "\t",
    "\n",
    ";",
    "&",
    "|",
    "(",
    "~",
    "#",
    "-",
    "=",
    "é",
    "漢",
    "a",
    "Z",
    "0",
    "",
  ];
  let state = 42;
  const next = (below: number) => (state = (state * 1103515245 + 12345) % 2147483648) % below;
  return Array.from({ length: count }, () =>
    Array.from({ length: next(12) }, () => pieces[next(pieces.length)] ?? "").join(""),
  );
}

function words(shell: string, text: string): string[] {
  return execFileSync(shell, ["-c", text], { encoding: "utf8" }).split("\0").slice(0, -1);
}

describe.each(["dash", "bash"])("in %s", (shell) => {
  test("any word arrives as it was", () => {
    const given = ["", "-n", "plain", "it's", "$(id)", "~root", ...oddWords(400)];
    expect(words(shell, sh`printf '%s\0' ${given}`.text)).toEqual(given);
  });
});

test("any secret word arrives as it was, and is nowhere to be seen", () => {
  for (const word of oddWords(60).filter((w) => w.length > 3)) {
    const command = sh`printf '%s\0' ${secret(word)}`;
    expect(words("sh", command.text)).toEqual([word]);
    expect(redact(command.text, command.secrets)).toBe(String.raw`printf '%s\0' [secret]`);
    expect(redact(`said ${word}!`, command.secrets)).toBe("said [secret]!");
  }
});

test("plain words stay readable", () => {
  expect(sh`systemctl restart ${"etcd.service"} ${["--now", "a b"]} ${3}`.text).toBe(
    "systemctl restart etcd.service --now 'a b' 3",
  );
});

test("a command inside a command is inserted as it is, with its secrets", () => {
  const inner = sh`echo ${secret("x y")}`;
  expect(sh`if true; then ${inner}; fi`).toEqual({ text: "if true; then echo 'x y'; fi", secrets: ["x y"] });
  expect(script(inner, rawScript("exit 0"))).toEqual({ text: "echo 'x y'\nexit 0", secrets: ["x y"] });
});

test("a word with a NUL byte is refused: no process can be given it", () => {
  expect(() => quote("a\0b")).toThrow(TypeError);
});

test("a secret inside another leaves nothing behind", () => {
  expect(redact("abcdef abc", ["abc", "abcdef"])).toBe("[secret] [secret]");
  expect(redact("nothing", [""])).toBe("nothing");
});
