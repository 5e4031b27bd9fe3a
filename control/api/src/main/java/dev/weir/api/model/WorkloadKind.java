package dev.weir.api.model;

/** What made the workload's pods. */
public enum WorkloadKind {
  DEPLOYMENT,
  CRONJOB,
  POD,
  JOB
}
