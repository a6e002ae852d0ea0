import type { Config } from "jest";

const shared = {
  transform: { "^.+\\.ts$": ["ts-jest", { tsconfig: "test/tsconfig.json", isolatedModules: true }] },
  testEnvironment: "node",
} satisfies Config["projects"] extends (infer P)[] | undefined ? Partial<P> : never;

/** Tiers, fastest first. `e2e` boots machines and drives the real Pulumi engine; `integration` uses real daemons on this machine. */
const config: Config = {
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

export default config;
