import { describePeftMethod } from '@peft/testing';
import { {{camel}} } from './{{name}}.js';

describePeftMethod(
  {{camel}},
  [
    { title: 'on every linear map' },
    {
      title: 'on queries and values',
      options: { targets: { roles: ['attention.query', 'attention.value'] } },
    },
    { title: 'with noise', options: { noise: 0.1 }, identityAtStart: false },
  ],
  { badOptions: [{ options: { noise: Number.NaN }, message: '{{name}}: noise must be' }] },
);
