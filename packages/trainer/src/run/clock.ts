/** Time, as a thing that can be replaced. */

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
}

export const systemClock: Clock = Object.freeze({ now: () => Date.now() });
