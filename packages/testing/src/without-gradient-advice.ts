/** What a failed contract says of a parameter that does not learn. */
export const withoutGradientAdvice = (name: string): string =>
  `${name} has no gradient: the loss does not depend on it. Where that is its nature (the bias of ` +
  'keys adds the same to all scores of a query, which the softmax ignores), say so in the case: ' +
  `{ withoutGradient: /${name.split('.').slice(-2).join('\\.')}$/ }. Else the method's forward ` +
  'pass leaves it out, or freezes it';
