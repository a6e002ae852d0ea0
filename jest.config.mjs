/** @satisfies {import("jest").Config} */
const shared = {
  transform: { "^.+\\.ts$": ["ts-jest", { tsconfig: "test/tsconfig.json" }] },
  testEnvironment: "node",
};

/**
 * Tiers, fastest first. `e2e` boots machines and drives the real Pulumi engine; `integration` uses real daemons on this machine.
 * @type {import("jest").Config}
 */
export default {
  testTimeout: 600_000,
  projects: [
    { ...shared, displayName: "unit", testMatch: ["<rootDir>/test/unit/**/*.test.ts", "<rootDir>/test/*.test.ts"] },
    {
      ...shared,
      displayName: "integration",
      testMatch: ["<rootDir>/test/integration/**/*.test.ts", "<rootDir>/test/contract/**/*.test.ts"],
    },
    { ...shared, displayName: "e2e", testMatch: ["<rootDir>/test/e2e/**/*.test.ts"] },
  ],
};
