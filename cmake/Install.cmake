# Three packages: the command with its data and manual, the library, and the Python module (python/CMakeLists.txt).
include(CMakePackageConfigHelpers)
get_property(layers GLOBAL PROPERTY TEMPERA_LAYERS)
install(TARGETS tempera RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT command)
install(DIRECTORY data/ DESTINATION ${CMAKE_INSTALL_DATADIR}/tempera COMPONENT command
  FILES_MATCHING PATTERN "*.h5" PATTERN "*.html" PATTERN "*.md")
# What the build made: the script of the charts (cmake/Charts.cmake), and the manual and completions (apps/CMakeLists.txt).
install(DIRECTORY ${PROJECT_BINARY_DIR}/share/ DESTINATION ${CMAKE_INSTALL_DATADIR} COMPONENT command OPTIONAL)

install(TARGETS ${layers} tempera_all EXPORT temperaTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY include/tempera DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(EXPORT temperaTargets NAMESPACE tempera:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tempera COMPONENT development)
configure_package_config_file(cmake/temperaConfig.cmake.in ${PROJECT_BINARY_DIR}/temperaConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tempera)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/temperaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/temperaConfig.cmake ${PROJECT_BINARY_DIR}/temperaConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tempera COMPONENT development)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tempera)
set(CPACK_PACKAGE_CONTACT "The Tempera authors <tempera@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_COMPONENTS_ALL command development)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)
set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME tempera)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMMAND_DESCRIPTION "Boltzmann machines: train, measure, sample and look at them")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libtempera-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libeigen3-dev, libboost-dev, libtbb-dev, libhdf5-dev, libcairo2-dev, zlib1g-dev, libzip-dev, liblzf-dev, libhwy-dev")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "Boltzmann machine research toolkit, library and headers")
if(TEMPERA_PYTHON_MODULE)
  list(APPEND CPACK_COMPONENTS_ALL python)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-tempera)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "python3 (>= 3.11), python3 (<< 3.12), python3-numpy, tempera")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_RECOMMENDS "python3-matplotlib")
  set(CPACK_DEBIAN_PYTHON_DESCRIPTION "Boltzmann machine research toolkit, Python module")
endif()
include(CPack)
