/** What the routes of a studio share. */
import type { RunIndex } from './runs/run-index.js';
import type { TableStore } from './tables/table-store.js';
import type { StudioThread } from './thread/studio-thread.js';
import type { RunRequests, StudioOptions } from './studio-options.js';

/** What routes are made with. */
export interface StudioContext {
  readonly options: StudioOptions;
  readonly requests: RunRequests;
  readonly index: RunIndex;
  readonly tables: TableStore;
  /** Reads tables and previews fits. */
  readonly thread: StudioThread;
  /** Scores models; a thread of its own, so that a preview does not end it. */
  readonly scoring: StudioThread;
  /** What must end with the studio. */
  readonly closing: (() => Promise<void> | void)[];
}
