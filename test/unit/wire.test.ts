import { toWire } from "../../provider/wire";

test.each([
  ["a date", new Date(0)],
  ["a map", new Map()],
  ["a function", () => 1],
  ["a big integer", 1n],
  ["not a number", NaN],
  ["bytes", Buffer.from("x")],
])("%s is refused by its place: on the way it would become something else", (_, value) => {
  expect(() => toWire({ servers: [{ at: value }] })).toThrow(/^servers\[0\]\.at: /);
});

test("a trigger that looks like a secret is left as it is", () => {
  expect(toWire({ triggers: [{ password: "x" }] })).toEqual({ triggers: [{ password: "x" }] });
});

test("undefined goes, at every depth; null stays", () => {
  expect(toWire({ a: undefined, b: { c: undefined, d: null } })).toStrictEqual({ b: { d: null } });
});

test("a server token is a secret, in a cluster and on its own; its hash is not", () => {
  const secret = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", value: "hunter2" };
  const given = { cluster: { name: "prod", token: "hunter2" }, token: "hunter2", tokenHash: "0123456789ab" };
  expect(toWire(given)).toEqual({ cluster: { name: "prod", token: secret }, token: secret, tokenHash: "0123456789ab" });
  expect(toWire({ triggers: [{ token: "x" }] })).toEqual({ triggers: [{ token: "x" }] });
});
