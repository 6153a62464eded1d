{
  'targets': [
    {
      'target_name': 'cairn',
      'sources': ['<!@(cat native/sources.txt)'],
      'include_dirs': [
        'native',
        '<!(node -p "require(\'node-addon-api\').include_dir")',
        '<!(node scripts/node-include.mjs)',
      ],
      # A worker that is being terminated throws nothing any more: node would end the process over it.
      'defines': [
        'NAPI_VERSION=9',
        'NAPI_DISABLE_CPP_EXCEPTIONS',
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      ],
      'cflags!': ['-fno-omit-frame-pointer', '-g'],
      'cflags_cc!': ['-std=gnu++17', '-std=gnu++14', '-std=gnu++1y', '-frtti', '-fexceptions'],
      'cflags_cc': [
        '-std=c++20',
        '-fno-exceptions',
        '-fno-rtti',
        '-fvisibility=hidden',
        '-Wall',
        '-Wextra',
        '-Wno-restrict',
        '-O3',
        '-g0',
      ],
      'ldflags': ['-Wl,-z,nodelete', '-s'],
      'libraries': ['-l:liburing.a'],
    },
  ],
}
