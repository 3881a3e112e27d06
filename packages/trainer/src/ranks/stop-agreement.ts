/** How the ranks of a run stop together. */

/** What a run knows of stopping. */
export interface StopAgreement {
  /** Aborted when this process is asked to stop; other ranks may not know yet. */
  readonly signal: AbortSignal | undefined;
  /** All ranks stop: aborts the request's signal. */
  agree(): void;
}
