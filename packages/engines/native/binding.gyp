# One addon; the kernels of each set of instructions are a library of their own with their own flags.
{
  'variables': {
    'sanitize%': 0,
    'prebuilt%': 0,
  },
  'target_defaults': {
    'cflags_cc!': ['-fno-exceptions', '-std=gnu++17', '-std=gnu++20', '-fno-rtti', '-O2'],
    'cflags!': ['-O2'],
    'cflags_cc': ['-std=c++20', '-fexceptions', '-Wall', '-Wextra', '-Wno-unused-parameter', '-fno-strict-aliasing', '-ffp-contract=off', '-fno-math-errno', '-fno-trapping-math', '-fvisibility=hidden'],
    'xcode_settings': {
      'CLANG_CXX_LANGUAGE_STANDARD': 'c++20',
      'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
      'GCC_OPTIMIZATION_LEVEL': '3',
      'MACOSX_DEPLOYMENT_TARGET': '11.0',
      'OTHER_CPLUSPLUSFLAGS': ['-fno-strict-aliasing', '-ffp-contract=off', '-fno-math-errno', '-fvisibility=hidden'],
    },
    'msvs_settings': {'VCCLCompilerTool': {'AdditionalOptions': ['/std:c++20'], 'ExceptionHandling': 1}},
    'configurations': {'Debug': {'defines': ['PEFT_CHECK_BOUNDS']}},
    'conditions': [
      ['sanitize==1', {
        'defines': ['PEFT_CHECK_BOUNDS'],
        'cflags_cc': ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', '-fno-omit-frame-pointer'],
        'ldflags': ['-fsanitize=address,undefined'],
      }, {'cflags_cc': ['-O3']}],
      ['OS=="linux"', {'cflags_cc': ['-Wno-maybe-uninitialized', '-Wno-uninitialized']}],
    ],
  },
  'targets': [
    {'target_name': 'portable', 'type': 'static_library', 'sources': ['cpp/isa/portable.cc']},
    {
      'target_name': 'peft_native',
      'dependencies': ['portable'],
      'defines': ['NAPI_VERSION=8'],
      'sources': [
        'cpp/addon.cc',
        '<!@(node -p "[\'core\',\'gemm\',\'weights\',\'attention\',\'binding\'].flatMap(d => require(\'fs\').readdirSync(\'cpp/\' + d).filter(f => f.endsWith(\'.cc\')).map(f => \'cpp/\' + d + \'/\' + f)).join(\' \')")',
      ],
      'conditions': [
        ['target_arch=="x64"', {'dependencies': ['avx2', 'avx512', 'avx512bf16'], 'defines': ['PEFT_COMPILED_AVX512BF16']}],
        ['target_arch=="arm64"', {'dependencies': ['neon']}],
        ['target_arch=="x64" and OS=="linux"', {'dependencies': ['amx'], 'defines': ['PEFT_COMPILED_AMX']}],
        ['OS=="linux" and prebuilt==1', {'ldflags': ['-static-libstdc++', '-static-libgcc']}],
        ['OS=="linux"', {'ldflags': ['-Wl,-z,nodelete', '-Wl,--exclude-libs,ALL']}],
      ],
    },
  ],
  'conditions': [
    ['target_arch=="x64"', {
      'targets': [
        {
          'target_name': 'avx2', 'type': 'static_library', 'sources': ['cpp/isa/avx2.cc'],
          'cflags_cc': ['-mavx2', '-mfma', '-mf16c'],
          'xcode_settings': {'OTHER_CPLUSPLUSFLAGS': ['-mavx2', '-mfma', '-mf16c']},
          'msvs_settings': {'VCCLCompilerTool': {'AdditionalOptions': ['/arch:AVX2']}},
        },
        {
          'target_name': 'avx512', 'type': 'static_library', 'sources': ['cpp/isa/avx512.cc'],
          'cflags_cc': ['-mavx2', '-mfma', '-mf16c', '-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl'],
          'xcode_settings': {'OTHER_CPLUSPLUSFLAGS': ['-mavx2', '-mfma', '-mf16c', '-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl']},
          'msvs_settings': {'VCCLCompilerTool': {'AdditionalOptions': ['/arch:AVX512']}},
        },
        {
          'target_name': 'avx512bf16', 'type': 'static_library', 'sources': ['cpp/isa/avx512bf16.cc'],
          'cflags_cc': ['-mavx2', '-mfma', '-mf16c', '-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mavx512bf16'],
          'xcode_settings': {'OTHER_CPLUSPLUSFLAGS': ['-mavx2', '-mfma', '-mf16c', '-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mavx512bf16']},
          'msvs_settings': {'VCCLCompilerTool': {'AdditionalOptions': ['/arch:AVX512']}},
        },
      ],
    }],
    ['target_arch=="x64" and OS=="linux"', {
      'targets': [{
        'target_name': 'amx', 'type': 'static_library', 'sources': ['cpp/isa/amx.cc'],
        'cflags_cc': ['-mavx2', '-mfma', '-mf16c', '-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mavx512bf16', '-mamx-tile', '-mamx-bf16'],
      }],
    }],
    ['target_arch=="arm64"', {'targets': [{'target_name': 'neon', 'type': 'static_library', 'sources': ['cpp/isa/neon.cc']}]}],
  ],
}
