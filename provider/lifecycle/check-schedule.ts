import { text } from "./rules";

/** A five-field cron expression. */
export const scheduleRule = text((value) =>
  value.trim().split(/\s+/).length === 5 ? undefined : "must be a cron expression of five fields",
);
