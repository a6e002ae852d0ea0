import type { BackupSettings } from "../model";

/** How many scheduled snapshots stay in the folder, all servers' together: retention in S3 counts all servers' files. */
export function s3Retention({ retention, s3 }: Pick<BackupSettings, "retention" | "s3">, serverCount: number): number {
  return s3?.retention ?? (s3?.keepRounds ?? retention) * serverCount;
}
