import { s3Retention } from "../../../provider/distributions/s3-retention";

test("S3 keeps the local retention of every server (k3s#9866), or as many rounds, or as many files as it is told", () => {
  const kept = (s3: object): number => s3Retention({ retention: 5, s3: { bucket: "b", ...s3 } }, 3);
  expect([kept({}), kept({ keepRounds: 28 }), kept({ retention: 7 })]).toEqual([15, 84, 7]);
});
