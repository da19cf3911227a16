# tempera_layer(<name> SOURCES ... [PUBLIC targets] [PRIVATE targets] [PRECOMPILED headers | PRECOMPILED_OF layer]
#               [TOGETHER])
#
# One static library per layer. What a layer may include is what it links: include/tempera/<layer>
# is checked by scripts/check_layers.py, the rest by the link line.
function(tempera_layer name)
  cmake_parse_arguments(LAYER "TOGETHER" "PRECOMPILED_OF" "SOURCES;PUBLIC;PRIVATE;PRECOMPILED" ${ARGN})
  set(target tempera_${name})
  add_library(${target} STATIC ${LAYER_SOURCES})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PUBLIC ${LAYER_PUBLIC} PRIVATE ${LAYER_PRIVATE})
  target_compile_features(${target} PUBLIC cxx_std_20)
  # The alignment that Eigen assumes must be the same on both sides of the library's interface,
  # whatever instruction set the user's code is compiled for.
  target_compile_definitions(${target} PUBLIC EIGEN_MAX_ALIGN_BYTES=64 EIGEN_DONT_PARALLELIZE)
  tempera_compile_options(${target})
  if(LAYER_PRECOMPILED)
    target_precompile_headers(${target} PRIVATE ${LAYER_PRECOMPILED})
  elseif(LAYER_PRECOMPILED_OF)
    target_precompile_headers(${target} REUSE_FROM tempera_${LAYER_PRECOMPILED_OF})
  endif()
  if(LAYER_TOGETHER)
    # Short files, whose headers take longer than they do.
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  endif()
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  set_property(GLOBAL APPEND PROPERTY TEMPERA_LAYERS ${target})
endfunction()

function(tempera_compile_options target)
  if(TEMPERA_WARNINGS)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Werror)
  else()
    target_compile_options(${target} PRIVATE -w)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 warns about its own AVX-512 intrinsics and string concatenation (GCC bugs 105593, 105651).
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized -Wno-uninitialized -Wno-restrict
                           -Wno-stringop-overflow -Wno-array-bounds)
  endif()
  # A product and a sum may be rounded once instead of twice where the processor does both at once.
  # The compiler decides so for each of the loops that it makes of one loop: by vectors, and one by one.
  # Which of them runs may depend on where arrays begin or how near each other they lie, so even on the length of a
  # file's name.
  # So nothing is contracted, and a number has the same bits in all of them.
  # Eigen and Highway ask for one rounding by name where it is fast, and get it as before.
  # The kernels stay as they were: they are written in vectors, and make no second loop (tests/cli/test_memory.py).
  if(NOT target STREQUAL "tempera_kernels")
    target_compile_options(${target} PRIVATE -ffp-contract=off)
  endif()
  # What decides, reads and writes is not worth the time that compilers take to make checked code fast.
  if(TEMPERA_SANITIZE MATCHES "address" AND target MATCHES "^tempera_(command|services|train)$")
    target_compile_options(${target} PRIVATE -O0)
  endif()
  # A fuzzer looks for inputs that reach new code of what reads them.
  if(TEMPERA_FUZZ AND target MATCHES "^tempera_(io|fuzzed)$|^fuzz_")
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  # What reads other people's files is hardened; the loops of training, which read none, are left as they are.
  if(target MATCHES "^tempera(_io|_services)?$" AND NOT TEMPERA_SANITIZE)
    target_compile_options(${target} PRIVATE
      $<$<CONFIG:Release>:-fstack-protector-strong> $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
    if(target STREQUAL "tempera")
      target_link_options(${target} PRIVATE -Wl,-z,relro,-z,now)
    endif()
  endif()
  if(TEMPERA_NATIVE)
    target_compile_options(${target} PRIVATE -march=native)
  endif()
endfunction()
