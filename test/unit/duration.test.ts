import { parseDuration } from "../../provider/duration";

test.each([
  ["30m", 1_800_000],
  ["1h30m", 5_400_000],
  ["90s", 90_000],
  ["1.5h", 5_400_000],
  ["500ms", 500],
])("%s is %d milliseconds", (text, expected) => expect(parseDuration(text)).toBe(expected));

test.each(["", "30", "30 m", "0s", "-5m", "m", "1d", "5minutes"])("%j is no duration", (text) => {
  expect(parseDuration(text)).toBeUndefined();
});
