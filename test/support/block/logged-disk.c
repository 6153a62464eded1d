// logged-disk IMAGE LOG MOUNTPOINT: shows IMAGE as MOUNTPOINT/disk and appends to LOG each write and each
// flush, in the order in which they came, as dm-log-writes does (block-log.ts). One thread, libfuse 3.
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define FLUSH 1

static const char kDisk[] = "/disk";
static int image = -1;
static int log_file = -1;
static uint64_t entries = 0;
static off_t log_end = SECTOR;

static int AllWritten(const void* bytes, size_t size, off_t offset) {
  return pwrite(log_file, bytes, size, offset) == (ssize_t)size ? 0 : -EIO;
}

/// The count last: what it counts is there.
static int Append(uint64_t sector, uint64_t flags, const char* data, size_t size) {
  uint64_t head[SECTOR / 8] = {sector, size / SECTOR, flags, size};
  if (AllWritten(head, SECTOR, log_end) != 0) return -EIO;
  if (size > 0 && AllWritten(data, size, log_end + SECTOR) != 0) return -EIO;
  log_end += SECTOR + (off_t)size;
  ++entries;
  return AllWritten(&entries, sizeof(entries), 16);
}

static int GetAttributes(const char* path, struct stat* status, struct fuse_file_info* file) {
  (void)file;
  memset(status, 0, sizeof(*status));
  if (strcmp(path, "/") == 0) {
    status->st_mode = S_IFDIR | 0700;
    status->st_nlink = 2;
    return 0;
  }
  if (strcmp(path, kDisk) != 0) return -ENOENT;
  if (fstat(image, status) != 0) return -errno;
  status->st_mode = S_IFREG | 0600;
  status->st_nlink = 1;
  return 0;
}

static int Open(const char* path, struct fuse_file_info* file) {
  (void)file;
  return strcmp(path, kDisk) == 0 ? 0 : -ENOENT;
}

static int Read(const char* path, char* target, size_t size, off_t offset,
                struct fuse_file_info* file) {
  (void)path;
  (void)file;
  const ssize_t done = pread(image, target, size, offset);
  return done < 0 ? -errno : (int)done;
}

static int Write(const char* path, const char* source, size_t size, off_t offset,
                 struct fuse_file_info* file) {
  (void)path;
  (void)file;
  if (size % SECTOR != 0 || offset % SECTOR != 0) return -EINVAL;
  if (pwrite(image, source, size, offset) != (ssize_t)size) return -EIO;
  return Append((uint64_t)offset / SECTOR, 0, source, size) == 0 ? (int)size : -EIO;
}

static int Sync(const char* path, int data_only, struct fuse_file_info* file) {
  (void)path;
  (void)data_only;
  (void)file;
  return Append(0, FLUSH, NULL, 0);
}

static const struct fuse_operations kOperations = {
    .getattr = GetAttributes, .open = Open, .read = Read, .write = Write, .fsync = Sync};

int main(int count, char** arguments) {
  if (count != 4) {
    fprintf(stderr, "usage: logged-disk IMAGE LOG MOUNTPOINT\n");
    return 2;
  }
  image = open(arguments[1], O_RDWR | O_CLOEXEC);
  log_file = open(arguments[2], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  // magic, version, entries, bytes of a sector
  const uint64_t first[SECTOR / 8] = {0x6a736677736872, 1, 0, SECTOR};
  if (image < 0 || log_file < 0 || AllWritten(first, SECTOR, 0) != 0) {
    perror("logged-disk");
    return 1;
  }
  char* fuse[] = {arguments[0], "-f", "-s", "-o", "fsname=cairn-logged", arguments[3], NULL};
  return fuse_main(6, fuse, &kOperations, NULL);
}
