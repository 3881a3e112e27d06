import tseslint from 'typescript-eslint';

export default tseslint.config(
  {
    ignores: [
      '**/dist/**',
      '**/build/**',
      '**/node_modules/**',
      '.nx/**',
      '**/fixtures/**',
      '**/*.tpl',
    ],
  },
  ...tseslint.configs.recommended,
  {
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      eqeqeq: ['error', 'always'],
      'no-console': 'error',
      'no-nested-ternary': 'error',
    },
  },
  {
    // What `tsc` knows of types: promises that nobody awaits above all.
    files: ['**/*.ts', '**/*.tsx'],
    extends: [...tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    rules: {
      // It would have `tf.add<tf.Rank.R2>(…)` where `tf.add(…) as Tensor2D` says the same plainly.
      '@typescript-eslint/no-unnecessary-type-assertion': 'off',
      // Interfaces here are mostly of plain functions, which need no `this`.
      '@typescript-eslint/unbound-method': 'off',
      // Values of strangers' files are shown as they are.
      '@typescript-eslint/no-base-to-string': 'off',
      // An async function rejects where another would throw; some are async for that alone.
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    // Tests read JSON of their own making, and hand methods to spies.
    files: ['**/*.test.ts', '**/test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  {
    files: [
      'packages/cli/**',
      'packages/engines/native/bin/**',
      'tools/**',
      'benchmarks/**',
      'examples/**',
      '**/*.test.ts',
    ],
    rules: { 'no-console': 'off' },
  },
);
