/** Time, as a thing that can be replaced. */

/** What the loop asks for the time; a test gives its own. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
}

/** The time of the machine, `Date.now()`. */
export const systemClock: Clock = Object.freeze({ now: () => Date.now() });
