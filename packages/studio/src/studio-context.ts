/** What the routes of a studio share. */
import type { RunIndex } from './runs/run-index.js';
import type { RunRequests, StudioOptions } from './studio-options.js';

/** What routes are made with. */
export interface StudioContext {
  readonly options: StudioOptions;
  readonly requests: RunRequests;
  readonly index: RunIndex;
  /** What must end with the studio. */
  readonly closing: (() => Promise<void> | void)[];
}
