#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace cairn {

/// The cells of one group: which are free, which are open, which are being emptied, which of their
/// slots are live. Bitmaps only, so that a cell costs between 4 bits (one slot) and 67 (64 slots).
class SlabGroup {
 public:
  struct Run {
    uint32_t first_cell = 0;
    uint32_t cells = 0;
  };

  SlabGroup(uint64_t offset_bytes, uint8_t size_class, uint32_t cells, uint32_t slots_per_cell);

  uint64_t offset_bytes() const { return offset_bytes_; }
  uint8_t size_class() const { return size_class_; }
  uint32_t cells() const { return cells_; }
  uint32_t taken() const { return taken_; }
  bool full() const { return taken_ == cells_; }
  bool empty() const { return taken_ == 0; }

  /// Takes 1..max_cells free cells in a row, which become open. Not when full().
  Run TakeRun(uint32_t max_cells);
  /// Takes one free cell, which becomes closed.
  void TakeClosed(uint32_t cell);
  /// The cell is taken and holds no live slot.
  void Release(uint32_t cell);
  void Close(uint32_t cell);

  bool IsFree(uint32_t cell) const { return Test(free(), cell); }
  bool IsOpen(uint32_t cell) const { return Test(open(), cell); }
  /// Its records are being moved; until it is free.
  bool IsMoving(uint32_t cell) const { return Test(moving(), cell); }
  void SetMoving(uint32_t cell) { Set(moving(), cell); }
  void ClearMoving(uint32_t cell) { Clear(moving(), cell); }
  /// Which of the sets of partly used groups it is in: for the allocator.
  static constexpr uint8_t kNoFillSet = 255;
  uint8_t fill_set() const { return fill_set_; }
  void set_fill_set(uint8_t fill_set) { fill_set_ = fill_set; }
  /// Hands out no more cells, so that it gets empty.
  bool draining() const { return draining_; }
  void SetDraining(bool draining) { draining_ = draining; }

  bool AnyLive(uint32_t cell) const { return LiveBits(cell) != 0; }
  uint64_t LiveBits(uint32_t cell) const;
  bool IsLive(uint32_t cell, uint32_t slot) const { return Test(live(), Bit(cell, slot)); }
  void SetLive(uint32_t cell, uint32_t slot);
  void ClearLive(uint32_t cell, uint32_t slot);

 private:
  static bool Test(std::span<const uint64_t> words, uint64_t bit) {
    return words[bit / 64] >> bit % 64 & 1;
  }
  static void Set(std::span<uint64_t> words, uint64_t bit) {
    words[bit / 64] |= uint64_t{1} << bit % 64;
  }
  static void Clear(std::span<uint64_t> words, uint64_t bit) {
    words[bit / 64] &= ~(uint64_t{1} << bit % 64);
  }
  /// The slots of a cell are 2^slot_shift_ bits, so that they never straddle two words.
  uint64_t Bit(uint32_t cell, uint32_t slot) const {
    return (static_cast<uint64_t>(cell) << slot_shift_) + slot;
  }
  size_t CellWords() const { return (size_t{cells_} + 63) / 64; }
  size_t LiveWords() const { return ((static_cast<size_t>(cells_) << slot_shift_) + 63) / 64; }
  std::span<uint64_t> free() const { return {words_.get(), CellWords()}; }
  std::span<uint64_t> open() const { return {words_.get() + CellWords(), CellWords()}; }
  std::span<uint64_t> moving() const { return {words_.get() + 2 * CellWords(), CellWords()}; }
  std::span<uint64_t> live() const { return {words_.get() + 3 * CellWords(), LiveWords()}; }
  uint32_t FirstFree(uint32_t from) const;
  uint32_t FreeFrom(uint32_t cell, uint32_t max_cells) const;
  Run FindRun(uint32_t max_cells) const;

  uint64_t offset_bytes_;
  uint32_t cells_;
  uint32_t taken_ = 0;
  uint32_t lowest_ = 0;  // no cell below it is free
  uint8_t size_class_;
  uint8_t slot_shift_;
  bool draining_ = false;
  uint8_t fill_set_ = kNoFillSet;
  std::unique_ptr<uint64_t[]> words_;  // of free, open, moving and live bits, one after the other
};

}  // namespace cairn
