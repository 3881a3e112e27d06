#!/bin/sh
# `train` and `serve` alone are SageMaker's; anything else is a command of peft.
if [ "$#" -eq 1 ] && { [ "$1" = train ] || [ "$1" = serve ]; }; then
  exec node /app/sagemaker.mjs "$1"
fi
exec node /app/node_modules/@peft/cli/bin/peft.mjs "$@"
