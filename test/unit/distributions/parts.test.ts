import { parsePairs, parseParts } from "../../../provider/distributions/parts";

test("parts keep their own lines, and nothing of the next", () => {
  const parts = parseParts("login banner\n\n=m one\na\n\nb\n\n=m two\n\n=m three", "=m");
  expect([...parts]).toEqual([
    ["one", "a\n\nb"],
    ["two", ""],
    ["three", ""],
  ]);
});

test("a mark inside a line heads nothing", () => {
  expect([...parseParts("\n=m one\nsee =m two\n", "=m")]).toEqual([["one", "see =m two"]]);
});

test("pairs are split at the first =, and keep all values of a name", () => {
  expect([...parsePairs("A=1=2\nB=\nA=3\n=x\nnone\n")]).toEqual([
    ["A", ["1=2", "3"]],
    ["B", [""]],
  ]);
});
