import assert from 'node:assert/strict';
import { totalmem } from 'node:os';
import { cgroupMemoryLimit, readMachine } from '../../../ts/config/machine.js';

function files(contents: Record<string, string>): (path: string) => string | undefined {
  return (path) => contents[path];
}

describe('the memory limit', () => {
  it('of cgroup version 2 is the lowest from the group up', () => {
    const limit = cgroupMemoryLimit(
      files({
        '/proc/self/cgroup': '0::/user.slice/app.service\n',
        '/sys/fs/cgroup/user.slice/app.service/memory.max': 'max\n',
        '/sys/fs/cgroup/user.slice/memory.max': '1073741824\n',
      }),
    );
    assert.equal(limit, 1073741824);
  });

  it('in a container is that of the mount’s root', () => {
    const limit = cgroupMemoryLimit(
      files({
        '/proc/self/cgroup': '0::/../../docker/abc\n',
        '/sys/fs/cgroup/memory.max': '536870912\n',
      }),
    );
    assert.equal(limit, 536870912);
  });

  it('of cgroup version 1 is that of the memory controller', () => {
    const limit = cgroupMemoryLimit(
      files({
        '/proc/self/cgroup':
          '12:cpu,cpuacct:/other\n5:memory:/docker/abc\n1:name=systemd:/x\n0::/\n',
        '/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes': '268435456\n',
        '/sys/fs/cgroup/memory/other/memory.limit_in_bytes': '1\n',
      }),
    );
    assert.equal(limit, 268435456);
  });

  it('is none without a readable one', () => {
    for (const text of ['', 'max', '-1', 'garbage', '0']) {
      const read = files({ '/proc/self/cgroup': '0::/', '/sys/fs/cgroup/memory.max': text });
      assert.equal(cgroupMemoryLimit(read), Infinity);
    }
    assert.equal(
      cgroupMemoryLimit(() => undefined),
      Infinity,
    );
  });

  it('never exceeds the memory of the machine', () => {
    assert.equal(readMachine(() => undefined).memoryBytes, totalmem());
    const huge = files({ '/sys/fs/cgroup/memory.max': '9223372036854771712' });
    assert.equal(readMachine(huge).memoryBytes, totalmem());
    assert.ok(readMachine().memoryBytes > 0);
  });
});
