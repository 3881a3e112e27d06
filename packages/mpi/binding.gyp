# One small addon. It needs no MPI to compile: the library is loaded at run time.
{
  'variables': {
    'sanitize%': 0,
    'prebuilt%': 0,
  },
  'targets': [
    {
      'target_name': 'peft_mpi',
      'defines': ['NAPI_VERSION=8'],
      'sources': ['cpp/addon.cc', 'cpp/library.cc', 'cpp/mpi-thread.cc'],
      'cflags_cc!': ['-fno-exceptions', '-std=gnu++17', '-std=gnu++20', '-fno-rtti'],
      'cflags_cc': ['-std=c++20', '-fexceptions', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-cast-function-type', '-fvisibility=hidden'],
      'xcode_settings': {
        'CLANG_CXX_LANGUAGE_STANDARD': 'c++20',
        'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
        'MACOSX_DEPLOYMENT_TARGET': '11.0',
        'OTHER_CPLUSPLUSFLAGS': ['-fvisibility=hidden'],
      },
      'conditions': [
        ['sanitize==1', {
          'cflags_cc': ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
          'ldflags': ['-fsanitize=address,undefined'],
        }],
        ['OS=="linux" and prebuilt==1', {'ldflags': ['-static-libstdc++', '-static-libgcc']}],
        ['OS=="linux"', {'libraries': ['-ldl'], 'ldflags': ['-Wl,-z,nodelete', '-Wl,--exclude-libs,ALL']}],
        ['OS=="win"', {'type': 'none'}],
      ],
    },
  ],
}
