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
