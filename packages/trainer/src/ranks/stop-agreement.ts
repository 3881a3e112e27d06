/** How the ranks of a run stop together. */

/** What a run knows of stopping. */
export interface StopAgreement {
  /** Whether this process was asked to stop; other ranks may not know yet. */
  isAsked(): boolean;
  /** All ranks stop: aborts the request's signal. */
  agree(): void;
}
