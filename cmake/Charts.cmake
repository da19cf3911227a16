# The script of the charts of `tempera report`: Plotly's own bundle (MIT licence), from the package plotly of PyPI, which
# scripts/setup brings into build/venv. It is installed beside the command, and never part of this project.
find_program(TEMPERA_BUILD_PYTHON NAMES python3
  HINTS ${Python_EXECUTABLE}/.. ${PROJECT_SOURCE_DIR}/build/venv/bin NO_DEFAULT_PATH)
if(Python_EXECUTABLE)
  set(TEMPERA_BUILD_PYTHON ${Python_EXECUTABLE})
endif()
if(TEMPERA_BUILD_PYTHON)
  execute_process(
    COMMAND ${TEMPERA_BUILD_PYTHON} -c "import pathlib, importlib.util as u; print(pathlib.Path(u.find_spec('plotly').origin).parent / 'package_data/plotly.min.js')"
    OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE TEMPERA_CHARTS ERROR_QUIET)
endif()
if(TEMPERA_CHARTS AND EXISTS ${TEMPERA_CHARTS})
  configure_file(${TEMPERA_CHARTS} ${PROJECT_BINARY_DIR}/share/tempera/plotly.min.js COPYONLY)
else()
  message(STATUS "No package plotly: tempera report will have no charts (scripts/setup installs it)")
endif()
