import { checkSchedule } from "../distributions/etcd/cron";
import type { Rule } from "./rules";

/** A cron expression that a timer can keep. */
export const scheduleRule: Rule = (value, path, report) => {
  const reason = typeof value === "string" ? checkSchedule(value) : "must be a string";
  if (reason !== undefined) report(path, reason);
};
