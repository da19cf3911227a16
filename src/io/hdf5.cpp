#include "tempera/io/hdf5.hpp"

#include <hdf5.h>
#include <lzf.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "tempera/core/format.hpp"
#include "tempera/core/memory.hpp"
#include "tempera/io/byte_stream.hpp"
#include "tempera/io/files.hpp"

namespace tempera {
namespace {

/// An HDF5 identifier that is closed when it goes; `good` is false where the call failed.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle& operator=(Handle&&) = delete;
  [[nodiscard]] bool good() const { return id_ >= 0; }
  operator hid_t() const { return id_; }  // NOLINT: an id is what the C interface takes

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// HDF5 prints its error stack unless told not to; the setting belongs to the thread.
void silence() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

void check(bool good, const std::string& what) {
  if (!good) throw WriteError("HDF5 could not " + what);
}

template <class T>
hid_t native_type() {
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_NATIVE_UINT8;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_NATIVE_UINT64;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_NATIVE_INT64;
}

/// Text of any length, as h5py reads it: a variable-length UTF-8 string.
Handle string_type() {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

/// The filter that h5py calls lzf, of which HDF5 itself knows nothing: a chunk as it is unpacked by liblzf.
/// The third of the filter's own numbers is the size of a chunk.
constexpr H5Z_filter_t kLzf = 32000;
std::size_t unpack_lzf(unsigned flags, std::size_t n_numbers, const unsigned* numbers, std::size_t bytes,
                       std::size_t* size, void** buffer) {
  constexpr std::size_t kLargestChunk = std::size_t{1} << 30;
  if ((flags & H5Z_FLAG_REVERSE) == 0 || n_numbers < 3 || numbers[2] == 0 || numbers[2] > kLargestChunk)
    return 0;
  void* const unpacked = H5allocate_memory(numbers[2], 0);
  if (unpacked == nullptr) return 0;
  const unsigned n = lzf_decompress(*buffer, static_cast<unsigned>(bytes), unpacked, numbers[2]);
  if (n == 0) {
    H5free_memory(unpacked);
    return 0;
  }
  H5free_memory(*buffer);
  *buffer = unpacked;
  *size = numbers[2];
  return n;
}

void register_filters() {
  static const bool once = [] {
    const H5Z_class2_t lzf = {H5Z_CLASS_T_VERS, kLzf, 0, 1, "lzf", nullptr, nullptr, unpack_lzf};
    return H5Zregister(&lzf) >= 0;
  }();
  static_cast<void>(once);
}

/// Name of a filter in a dataset's pipeline.
std::string filter_name(hid_t pipeline, unsigned k, H5Z_filter_t& id) {
  unsigned flags = 0;
  std::size_t n = 0;
  char name[64] = "";
  id = H5Pget_filter2(pipeline, k, &flags, &n, nullptr, sizeof name, name, nullptr);
  return name[0] != '\0' ? name : "number " + std::to_string(id);
}

/// Bytes that a filter makes of one at most; 0: any number.
double expansion_of(H5Z_filter_t id) {
  switch (id) {
    case H5Z_FILTER_DEFLATE:
      return 1100.0;
    case kLzf:
      return 300.0;
    case H5Z_FILTER_SHUFFLE:
    case H5Z_FILTER_FLETCHER32:
      return 1.0;
    default:
      return 0.0;
  }
}

std::string type_name(hid_t type) {
  const std::string bits = std::to_string(8 * H5Tget_size(type));
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return (H5Tget_sign(type) == H5T_SGN_NONE ? "uint" : "int") + bits;
    case H5T_FLOAT:
      return "float" + bits;
    case H5T_ENUM:
      return H5Tget_size(type) == 1 ? "bool" : "enumeration";
    case H5T_STRING:
      return "text";
    case H5T_COMPOUND:
      return "compound";
    default:
      return "other";
  }
}

}  // namespace

bool is_hdf5(const std::filesystem::path& path) {
  silence();
  return H5Fis_hdf5(path.c_str()) > 0;
}

std::string hdf5_version() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  H5get_libversion(&major, &minor, &release);
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release);
}

// --- writing -----------------------------------------------------------------------------------------

struct Hdf5Writer::Impl {
  Handle file;

  Handle group(const std::string& path) const {
    const Handle create(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
    H5Pset_create_intermediate_group(create, 1);
    if (path == "/") return {H5Gopen2(file, "/", H5P_DEFAULT), H5Gclose};
    // Group by group, so that an existing path is opened.
    std::size_t end = 0;
    while (end != std::string::npos) {
      end = path.find('/', end + 1);
      const std::string part = path.substr(0, end);
      if (H5Lexists(file, part.c_str(), H5P_DEFAULT) <= 0) {
        const Handle made(H5Gcreate2(file, part.c_str(), create, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
        check(made.good(), "create group " + part);
      }
    }
    return {H5Gopen2(file, path.c_str(), H5P_DEFAULT), H5Gclose};
  }

  void attribute(const std::string& group_path, const std::string& name, hid_t type, hid_t space,
                 const void* value) const {
    const Handle parent = group(group_path);
    const Handle made(H5Acreate2(parent, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    check(made.good() && H5Awrite(made, type, value) >= 0, "write attribute " + name);
  }
};

Hdf5Writer::Hdf5Writer(OtherFormat) {
  silence();
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fapl_core(access, 1 << 20, 0);
  impl_.reset(new Impl{Handle(H5Fcreate("memory.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access), H5Fclose)});
  check(impl_->file.good(), "start a file in memory");
}

Hdf5Writer::Hdf5Writer(const std::string& content, std::int64_t version) : Hdf5Writer(OtherFormat()) {
  attribute("/", "format", std::string("tempera"));
  attribute("/", "format_version", version);
  attribute("/", "content", content);
}

Hdf5Writer::~Hdf5Writer() = default;

void Hdf5Writer::attribute(const std::string& group, const std::string& name, const std::string& value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle type = string_type();
  const char* text = value.c_str();
  impl_->attribute(group, name, type, space, &text);
}

void Hdf5Writer::attribute(const std::string& group, const std::string& name, std::int64_t value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  impl_->attribute(group, name, H5T_NATIVE_INT64, space, &value);
}

void Hdf5Writer::attribute(const std::string& group, const std::string& name, double value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  impl_->attribute(group, name, H5T_NATIVE_DOUBLE, space, &value);
}

void Hdf5Writer::attribute(const std::string& group, const std::string& name,
                           const std::vector<std::int64_t>& value) {
  const hsize_t size = value.size();
  const Handle space(H5Screate_simple(1, &size, nullptr), H5Sclose);
  impl_->attribute(group, name, H5T_NATIVE_INT64, space, value.data());
}

template <FileNumber T>
void Hdf5Writer::dataset(const std::string& path, const Shape& shape, const T* values) {
  const std::size_t slash = path.rfind('/');
  const Handle parent = impl_->group(slash == 0 ? "/" : path.substr(0, slash));
  const std::vector<hsize_t> dims(shape.begin(), shape.end());
  const Handle space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose);
  const Handle create(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(create, 0);
  std::uint64_t size = 1;
  for (const std::uint64_t n : shape) size *= n;
  // Bytes of pictures and samples compress well; parameters do not and are written often.
  if (std::is_same_v<T, std::uint8_t> && size > 4096) {
    std::vector<hsize_t> chunk = dims;
    hsize_t row = 1;
    for (std::size_t i = 1; i < dims.size(); ++i) row *= dims[i];
    chunk[0] =
        std::max<hsize_t>(1, std::min<hsize_t>(dims[0], (hsize_t{1} << 20) / std::max<hsize_t>(row, 1)));
    H5Pset_chunk(create, static_cast<int>(chunk.size()), chunk.data());
    H5Pset_deflate(create, 4);
  }
  const Handle made(H5Dcreate2(parent, path.substr(slash + 1).c_str(), native_type<T>(), space, H5P_DEFAULT,
                               create, H5P_DEFAULT),
                    H5Dclose);
  check(made.good() && H5Dwrite(made, native_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0,
        "write dataset " + path);
}

void Hdf5Writer::texts(const std::string& path, const std::vector<std::string>& values) {
  texts_(path, values, false);
}

void Hdf5Writer::text(const std::string& path, const std::string& value) { texts_(path, {value}, true); }

void Hdf5Writer::texts_(const std::string& path, const std::vector<std::string>& values, bool alone) {
  const std::size_t slash = path.rfind('/');
  const Handle parent = impl_->group(slash == 0 ? "/" : path.substr(0, slash));
  const hsize_t count = values.size();
  const Handle space(alone ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, nullptr), H5Sclose);
  const Handle create(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(create, 0);
  const Handle type = string_type();
  std::vector<const char*> pointers;
  for (const std::string& value : values) pointers.push_back(value.c_str());
  const Handle made(
      H5Dcreate2(parent, path.substr(slash + 1).c_str(), type, space, H5P_DEFAULT, create, H5P_DEFAULT),
      H5Dclose);
  check(made.good() && H5Dwrite(made, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) >= 0,
        "write dataset " + path);
}

void Hdf5Writer::write(const std::filesystem::path& path) {
  check(H5Fflush(impl_->file, H5F_SCOPE_GLOBAL) >= 0, "flush");
  const ssize_t size = H5Fget_file_image(impl_->file, nullptr, 0);
  check(size > 0, "measure the file");
  std::string image(static_cast<std::size_t>(size), '\0');
  check(H5Fget_file_image(impl_->file, image.data(), image.size()) == size, "copy the file");
  write_file(path, image);
}

// --- reading -----------------------------------------------------------------------------------------

struct Hdf5Reader::Impl {
  std::string name;
  Handle file;

  /// Links of a path that lead out of the file are refused: who made it would read what he may not see.
  [[nodiscard]] bool links_to(const std::string& path, int depth = 0) const {
    constexpr int kMostLinks = 16;
    if (depth > kMostLinks) throw DataError(name + ": " + path + ": too many links one after another");
    std::size_t end = 0;
    while (end != std::string::npos) {
      end = path.find('/', end + 1);
      const std::string part = path.substr(0, end);
      if (part.empty() || part == "/") continue;
      if (H5Lexists(file, part.c_str(), H5P_DEFAULT) <= 0) return false;
      H5L_info_t link;
      if (H5Lget_info(file, part.c_str(), &link, H5P_DEFAULT) < 0) return false;
      if (link.type != H5L_TYPE_HARD && link.type != H5L_TYPE_SOFT)
        throw DataError(name + ": " + part + ": is a link to another file, which is not followed");
      if (link.type == H5L_TYPE_SOFT && link.u.val_size > 0 && link.u.val_size < kLongestText) {
        std::string target(link.u.val_size, '\0');
        H5Lget_val(file, part.c_str(), target.data(), target.size(), H5P_DEFAULT);
        target = target.c_str();
        if (target.empty() || target.front() != '/') target = part.substr(0, part.rfind('/') + 1) + target;
        if (!links_to(target, depth + 1)) return false;
      }
    }
    return true;
  }

  /// Refuses a dataset whose values are in other files, are packed by a filter that is not there, or cannot
  /// be so many.
  void require_own_values(const std::string& path, hid_t set, double count) const {
    const Handle create(H5Dget_create_plist(set), H5Pclose);
    const auto refuse = [&](const std::string& why) { throw DataError(name + ": " + path + ": " + why); };
    if (H5Pget_external_count(create) > 0)
      refuse("has its values in another file (external storage), which is not read");
    if (H5Pget_layout(create) == H5D_VIRTUAL)
      refuse("is a virtual dataset, whose values are in other files, which are not read");
    double expansion = 1.0;
    const int filters = std::max(0, H5Pget_nfilters(create));
    for (int k = 0; k < filters; ++k) {
      H5Z_filter_t id = 0;
      const std::string filter = filter_name(create, static_cast<unsigned>(k), id);
      if (H5Zfilter_avail(id) <= 0) {
        refuse("is packed by the filter '" + filter + "' (" + std::to_string(id) +
               "), which is not there: copy it with h5repack -f GZIP=4, or install the plugin and name its "
               "folder in "
               "HDF5_PLUGIN_PATH");
      }
      expansion *= expansion_of(id);
    }
    const Handle type(H5Dget_type(set), H5Tclose);
    const double bytes = count * static_cast<double>(H5Tget_size(type));
    const auto stored = static_cast<double>(H5Dget_storage_size(set));
    constexpr double kSlack = 65536.0;  // small datasets may never have been written
    if (expansion > 0.0 && bytes > kSlack + expansion * stored)
      refuse(format("claims %.0f bytes, of which the file holds %.0f", bytes, stored));
  }

  [[nodiscard]] Handle open_dataset(const std::string& path) const {
    if (!links_to(path)) return {-1, H5Dclose};
    return {H5Dopen2(file, path.c_str(), H5P_DEFAULT), H5Dclose};
  }
  /// Reads a dataset some megabytes of leading rows at a time, whole chunks of the file each, where somebody
  /// hears how far it is.
  void read(const std::string& path, hid_t set, const Shape& shape, hid_t memory, void* values,
            const ReadingProgress& told) const {
    constexpr std::uint64_t kSlab = std::uint64_t{8} << 20;
    std::uint64_t row_bytes = H5Tget_size(memory);
    for (std::size_t axis = 1; axis < shape.size(); ++axis) row_bytes *= shape[axis];
    const std::uint64_t rows = shape.empty() ? 1 : shape[0];
    std::uint64_t step = rows;
    if (told && !shape.empty() && row_bytes > 0) {
      std::uint64_t unit = 1;
      const Handle create(H5Dget_create_plist(set), H5Pclose);
      if (H5Pget_layout(create) == H5D_CHUNKED) {
        std::vector<hsize_t> chunk(shape.size());
        H5Pget_chunk(create, static_cast<int>(chunk.size()), chunk.data());
        unit = std::max<hsize_t>(1, chunk[0]);
      }
      step = std::max<std::uint64_t>(1, kSlab / row_bytes / unit) * unit;
    }
    if (step >= rows) {
      if (H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0) damaged(path);
      return;
    }
    const Handle space(H5Dget_space(set), H5Sclose);
    for (std::uint64_t row = 0; row < rows; row += step) {
      told(static_cast<double>(row) / static_cast<double>(rows));
      std::vector<hsize_t> start(shape.size(), 0);
      std::vector<hsize_t> count(shape.begin(), shape.end());
      start[0] = row;
      count[0] = std::min(step, rows - row);
      H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
      const Handle target(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr), H5Sclose);
      if (H5Dread(set, memory, target, space, H5P_DEFAULT, static_cast<char*>(values) + row * row_bytes) < 0)
        damaged(path);
    }
    told(1.0);
  }
  [[noreturn]] void damaged(const std::string& path) const {
    throw DataError(name + ": " + path + ": cannot be read (damaged file?)");
  }
  [[nodiscard]] H5T_class_t type_class(const std::string& path) const {
    const Handle set = open_dataset(path);
    const Handle type(H5Dget_type(set), H5Tclose);
    return H5Tget_class(type);
  }
  [[nodiscard]] Handle open_attribute(const std::string& group, const std::string& attribute) const {
    if (!links_to(group) || H5Aexists_by_name(file, group.c_str(), attribute.c_str(), H5P_DEFAULT) <= 0)
      return {-1, H5Aclose};
    return {H5Aopen_by_name(file, group.c_str(), attribute.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose};
  }
};

Hdf5Reader::Hdf5Reader(const std::filesystem::path& path) {
  silence();
  register_filters();
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  ByteStream stream(path);
  std::string unpacked;
  if (stream.packed()) {
    unpacked = stream.rest();
    H5Pset_fapl_core(access, 1 << 20, 0);
    H5Pset_file_image(access, unpacked.data(), unpacked.size());  // which it copies
  }
  // An image in memory must not have the name of a file.
  const std::string opened = path.string() + (stream.packed() ? "#unpacked" : "");
  impl_.reset(new Impl{path.string(), Handle(H5Fopen(opened.c_str(), H5F_ACC_RDONLY, access), H5Fclose)});
  if (!impl_->file.good())
    throw DataError(path.string() + ": expected an HDF5 file, found something else or a truncated one");
  if (const auto version = number_attribute("/", "format_version"); version && *version > kFormatVersion) {
    throw DataError(path.string() + ": format version " +
                    std::to_string(static_cast<std::int64_t>(*version)) +
                    " is newer than this program reads (" + std::to_string(kFormatVersion) + ")");
  }
}

Hdf5Reader::~Hdf5Reader() = default;

const std::string& Hdf5Reader::name() const { return impl_->name; }

void Hdf5Reader::fail(const std::string& path, const std::string& problem) const {
  throw DataError(impl_->name + ": " + path + ": " + problem);
}

bool Hdf5Reader::has(const std::string& path) const {
  return impl_->links_to(path) && H5Oexists_by_name(impl_->file, path.c_str(), H5P_DEFAULT) > 0;
}

std::vector<std::string> Hdf5Reader::children(const std::string& group) const {
  std::vector<std::string> names;
  if (!impl_->links_to(group)) return names;
  const auto collect = [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  H5Literate_by_name(impl_->file, group.c_str(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names,
                     H5P_DEFAULT);
  return names;
}

std::vector<DatasetInfo> Hdf5Reader::datasets() const {
  constexpr std::size_t kMost = 4096;
  constexpr std::size_t kDeepest = 16;
  std::vector<DatasetInfo> found;
  std::vector<std::pair<std::string, std::size_t>> groups = {{"", 0}};
  // Groups may lie in each other, and in themselves.
  std::set<haddr_t> seen;
  for (std::size_t visited = 0; !groups.empty() && found.size() + visited < kMost; ++visited) {
    const auto [group, depth] = groups.back();
    groups.pop_back();
    std::vector<std::pair<std::string, std::size_t>> below;
    for (const std::string& child : children(group.empty() ? "/" : group)) {
      const std::string path = group + "/" + child;
      H5L_info_t link;
      if (H5Lget_info(impl_->file, path.c_str(), &link, H5P_DEFAULT) < 0) continue;
      DatasetInfo info;
      info.path = path;
      if (link.type != H5L_TYPE_HARD) {
        info.type = link.type == H5L_TYPE_SOFT ? "link" : "link to another file";
        found.push_back(info);
        continue;
      }
      const Handle object(H5Oopen(impl_->file, path.c_str(), H5P_DEFAULT), H5Oclose);
      if (!object.good()) continue;
      H5O_info_t about;
      if (H5Iget_type(object) == H5I_GROUP && depth < kDeepest && H5Oget_info(object, &about) >= 0 &&
          seen.insert(about.addr).second)
        below.emplace_back(path, depth + 1);
      if (H5Iget_type(object) != H5I_DATASET) continue;
      const Handle type(H5Dget_type(object), H5Tclose);
      const Handle space(H5Dget_space(object), H5Sclose);
      const int rank = H5Sget_simple_extent_ndims(space);
      if (rank < 0) continue;
      std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
      H5Sget_simple_extent_dims(space, dims.data(), nullptr);
      info.shape.assign(dims.begin(), dims.end());
      info.type = type_name(type);
      const H5T_class_t kind = H5Tget_class(type);
      if (kind == H5T_INTEGER || kind == H5T_FLOAT || info.type == "bool")
        info.kind = DatasetInfo::Kind::kNumbers;
      if (kind == H5T_STRING) info.kind = DatasetInfo::Kind::kTexts;
      found.push_back(info);
    }
    groups.insert(groups.end(), below.rbegin(), below.rend());
  }
  return found;
}

namespace {

/// One string, read by read(type in memory, buffer).
template <class Read>
std::optional<std::string> one_string(hid_t type, hid_t space, Read&& read) {
  if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_npoints(space) != 1) return std::nullopt;
  if (H5Tis_variable_str(type) > 0) {
    char* text = nullptr;
    const Handle memory(H5Tcopy(type), H5Tclose);
    if (read(memory, &text) < 0 || text == nullptr) return std::nullopt;
    std::string result(text);
    H5free_memory(text);
    return result;
  }
  const std::size_t size = H5Tget_size(type);
  if (size > (1U << 20)) return std::nullopt;
  std::string text(size, '\0');
  if (read(type, text.data()) < 0) return std::nullopt;
  text.resize(::strnlen(text.data(), size));
  return text;
}

}  // namespace

std::optional<std::string> Hdf5Reader::text_attribute(const std::string& group,
                                                      const std::string& name) const {
  const Handle attribute = impl_->open_attribute(group, name);
  if (!attribute.good()) return std::nullopt;
  const Handle type(H5Aget_type(attribute), H5Tclose);
  const Handle space(H5Aget_space(attribute), H5Sclose);
  return one_string(type, space, [&](hid_t memory, void* out) { return H5Aread(attribute, memory, out); });
}

std::optional<std::string> Hdf5Reader::text_dataset(const std::string& path) const {
  if (!has(path)) return std::nullopt;
  const Handle set = impl_->open_dataset(path);
  if (!set.good()) return std::nullopt;
  const Handle type(H5Dget_type(set), H5Tclose);
  const Handle space(H5Dget_space(set), H5Sclose);
  return one_string(type, space, [&](hid_t memory, void* out) {
    return H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, out);
  });
}

std::vector<std::string> Hdf5Reader::texts(const std::string& path, std::uint64_t count) const {
  if (const Shape found = shape(path); found != Shape{count})
    fail(path, "expected shape " + to_string(Shape{count}) + ", found " + to_string(found));
  const Handle set = impl_->open_dataset(path);
  const Handle type(H5Dget_type(set), H5Tclose);
  if (H5Tget_class(type) != H5T_STRING) fail(path, "expected texts, found something else");
  std::vector<std::string> values;
  values.reserve(count);
  const auto take = [&](const char* text, std::size_t most) {
    const std::size_t length = ::strnlen(text, most);
    if (length > kLongestText) fail(path, "holds a text that is too long");
    values.emplace_back(text, length);
  };
  if (H5Tis_variable_str(type) > 0) {
    std::vector<char*> pointers(count, nullptr);
    const Handle space(H5Dget_space(set), H5Sclose);
    const Handle memory(H5Tcopy(type), H5Tclose);
    if (H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) < 0)
      fail(path, "cannot be read: truncated or damaged");
    // The library took memory for every text, which goes with this.
    const auto reclaim = [&](void* buffer) { H5Dvlen_reclaim(memory, space, H5P_DEFAULT, buffer); };
    const std::unique_ptr<void, decltype(reclaim)> owner(pointers.data(), reclaim);
    for (const char* text : pointers) take(text == nullptr ? "" : text, kLongestText + 1);
    return values;
  }
  const std::size_t size = H5Tget_size(type);
  if (size == 0 || size > kLongestText) fail(path, "holds texts that are too long");
  std::vector<char> bytes(count * size);
  if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()) < 0)
    fail(path, "cannot be read: truncated or damaged");
  for (std::uint64_t n = 0; n < count; ++n) take(bytes.data() + n * size, size);
  return values;
}

std::optional<double> Hdf5Reader::number_attribute(const std::string& group, const std::string& name) const {
  const Handle attribute = impl_->open_attribute(group, name);
  if (!attribute.good()) return std::nullopt;
  const Handle type(H5Aget_type(attribute), H5Tclose);
  const Handle space(H5Aget_space(attribute), H5Sclose);
  const H5T_class_t kind = H5Tget_class(type);
  double value = 0.0;
  if ((kind != H5T_INTEGER && kind != H5T_FLOAT) || H5Sget_simple_extent_npoints(space) != 1 ||
      H5Aread(attribute, H5T_NATIVE_DOUBLE, &value) < 0) {
    return std::nullopt;
  }
  return value;
}

std::vector<std::int64_t> Hdf5Reader::integers_attribute(const std::string& group,
                                                         const std::string& name) const {
  const Handle attribute = impl_->open_attribute(group, name);
  if (!attribute.good()) return {};
  const Handle type(H5Aget_type(attribute), H5Tclose);
  const Handle space(H5Aget_space(attribute), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  if (H5Tget_class(type) != H5T_INTEGER || count < 1 || count > 16) return {};
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  if (H5Aread(attribute, H5T_NATIVE_INT64, values.data()) < 0) return {};
  return values;
}

FieldShapes Hdf5Reader::field_shapes(const std::string& fields_group,
                                     const std::string& attributes_group) const {
  FieldShapes found;
  found.source = impl_->name;
  found.fields_group = fields_group;
  found.attributes_group = attributes_group;
  for (const std::string& name : children(fields_group)) {
    const std::string path = fields_group + "/" + name;
    if (!has(path)) continue;
    try {
      found.fields[name] = shape(path);
    } catch (const DataError& error) {
      found.unusable[name] = error.what();
    }
  }
  const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  std::vector<std::string> names;
  H5Aiterate_by_name(impl_->file, attributes_group.c_str(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect,
                     &names, H5P_DEFAULT);
  for (const std::string& name : names) {
    if (const auto value = number_attribute(attributes_group, name)) {
      found.attributes[name] = *value;
    } else if (auto list = integers_attribute(attributes_group, name); !list.empty()) {
      found.lists[name] = std::move(list);
    }
  }
  return found;
}

Shape Hdf5Reader::shape(const std::string& path) const {
  if (!has(path)) fail(path, "expected a dataset, found nothing");
  const Handle set = impl_->open_dataset(path);
  if (!set.good()) fail(path, "expected a dataset, found something else");
  const Handle space(H5Dget_space(set), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 0 || H5Sget_simple_extent_type(space) == H5S_NULL) fail(path, "has no shape");
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  Shape shape(dims.begin(), dims.end());
  double count = 1.0;
  for (const std::uint64_t n : shape) count *= static_cast<double>(n);
  impl_->require_own_values(path, set, count);
  // What reads it may hold an 8-byte number and a float of each.
  if (count * 12.0 > 0.8 * physical_memory())
    fail(path, "shape " + to_string(shape) + " does not fit into the memory of this machine");
  return shape;
}

bool Hdf5Reader::is_integer(const std::string& path) const { return impl_->type_class(path) == H5T_INTEGER; }

bool Hdf5Reader::is_bool(const std::string& path) const {
  const Handle set = impl_->open_dataset(path);
  const Handle type(H5Dget_type(set), H5Tclose);
  return H5Tget_class(type) == H5T_ENUM && H5Tget_size(type) == 1;
}

bool Hdf5Reader::is_byte(const std::string& path) const {
  const Handle set = impl_->open_dataset(path);
  const Handle type(H5Dget_type(set), H5Tclose);
  return H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) == 1 && H5Tget_sign(type) == H5T_SGN_NONE;
}

template <FileNumber T>
void Hdf5Reader::dataset(const std::string& path, const Shape& expected, T* values, bool allow_non_finite,
                         const ReadingProgress& told) const {
  const Shape found = shape(path);
  if (found != expected) fail(path, "expected shape " + to_string(expected) + ", found " + to_string(found));
  if constexpr (std::is_same_v<T, std::uint8_t>) {
    if (is_bool(path)) {
      const Handle set = impl_->open_dataset(path);
      const Handle type(H5Dget_type(set), H5Tclose);
      impl_->read(path, set, found, type, values, told);
      return;
    }
  }
  const H5T_class_t kind = impl_->type_class(path);
  if (std::is_floating_point_v<T> ? kind != H5T_FLOAT : kind != H5T_INTEGER) {
    fail(path, std::is_floating_point_v<T> ? "expected float32 or float64, found another type"
                                           : "expected integers, found another type");
  }
  const Handle set = impl_->open_dataset(path);
  impl_->read(path, set, found, native_type<T>(), values, told);
  if constexpr (std::is_floating_point_v<T>) {
    std::uint64_t count = 1;
    for (const std::uint64_t n : found) count *= n;
    for (std::uint64_t i = 0; i < count && !allow_non_finite; ++i) {
      if (!std::isfinite(values[i])) fail(path, "expected finite numbers, found one that is not");
    }
  }
}

#define TEMPERA_INSTANTIATE(T)                                                   \
  template void Hdf5Writer::dataset(const std::string&, const Shape&, const T*); \
  template void Hdf5Reader::dataset(const std::string&, const Shape&, T*, bool, const ReadingProgress&) const;
TEMPERA_INSTANTIATE(float)
TEMPERA_INSTANTIATE(double)
TEMPERA_INSTANTIATE(std::uint8_t)
TEMPERA_INSTANTIATE(std::uint64_t)
TEMPERA_INSTANTIATE(std::int64_t)
#undef TEMPERA_INSTANTIATE

}  // namespace tempera
