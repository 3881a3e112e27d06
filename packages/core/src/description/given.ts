/** Options as they were given. */

/** Options without those that are undefined, which stand for the defaults. */
export const given = <Options extends object>(options: Options): Partial<Options> =>
  Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Partial<Options>;
