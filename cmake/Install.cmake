include(CMakePackageConfigHelpers)
get_property(layers GLOBAL PROPERTY TEMPERA_LAYERS)
install(TARGETS ${layers} tempera_all EXPORT temperaTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS tempera RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/tempera DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY data/ DESTINATION ${CMAKE_INSTALL_DATADIR}/tempera FILES_MATCHING PATTERN "*.h5" PATTERN "*.html" PATTERN "*.md")
install(DIRECTORY ${PROJECT_BINARY_DIR}/share/tempera DESTINATION ${CMAKE_INSTALL_DATADIR} OPTIONAL)
install(EXPORT temperaTargets NAMESPACE tempera:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tempera)
configure_package_config_file(cmake/temperaConfig.cmake.in ${PROJECT_BINARY_DIR}/temperaConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tempera)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/temperaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/temperaConfig.cmake ${PROJECT_BINARY_DIR}/temperaConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tempera)
