# libweir for embedders: the library layers as one shared and one static library, with headers,
# pkg-config and CMake packages. Both show weir_* and hide everything else; the static one is a single
# relocatable object in which the hidden names were made local, so that they cannot meet an embedder's.
set(weir_objects)
foreach(layer IN LISTS weir_library_layers)
  if(layer IN_LIST weir_layers)
    list(APPEND weir_objects $<TARGET_OBJECTS:weir_${layer}>)
  endif()
endforeach()
set(weir_private PkgConfig::UV PkgConfig::CARES PkgConfig::OPENSSL PkgConfig::XXHASH PkgConfig::NGHTTP2 PkgConfig::ZLIB
  Threads::Threads m)
set(weir_requires_private "libuv libcares openssl libxxhash libnghttp2 zlib")

# The number of the binary interface: it grows with every one that programs have to be linked to anew.
set(WEIR_INTERFACE 1)
add_library(weir_shared SHARED ${weir_objects})
set_target_properties(weir_shared PROPERTIES OUTPUT_NAME weir EXPORT_NAME weir LINKER_LANGUAGE C
  VERSION ${WEIR_INTERFACE}.${PROJECT_VERSION} SOVERSION ${WEIR_INTERFACE} LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/libweir.map)
target_link_options(weir_shared PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/libweir.map)
if(NOT WEIR_SANITIZE)
  target_link_options(weir_shared PRIVATE -Wl,--no-undefined)
endif()
target_link_libraries(weir_shared PRIVATE ${weir_private})
target_include_directories(weir_shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

if(weir_objects)
  set(weir_relocatable ${CMAKE_C_COMPILER} -r -nostdlib)
  if(CMAKE_INTERPROCEDURAL_OPTIMIZATION AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND weir_relocatable -O2 -flto -flinker-output=nolto-rel)
  endif()
  add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/libweir.a
    COMMAND ${weir_relocatable} -o weir.o ${weir_objects}
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden weir.o
    COMMAND ${CMAKE_COMMAND} -E rm -f libweir.a
    COMMAND ${CMAKE_AR} rcs libweir.a weir.o
    DEPENDS ${weir_objects} WORKING_DIRECTORY ${PROJECT_BINARY_DIR} COMMAND_EXPAND_LISTS VERBATIM
    COMMENT "Linking libweir.a")
  add_custom_target(weir_static ALL DEPENDS ${PROJECT_BINARY_DIR}/libweir.a)
endif()

# --- install ------------------------------------------------------------------------------------
include(CMakePackageConfigHelpers)
set(weir_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
# The files are found relative to weir.pc itself, wherever `cmake --install --prefix` puts them.
file(RELATIVE_PATH weir_pc_up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/weir.pc.in weir.pc @ONLY)
configure_package_config_file(cmake/weirConfig.cmake.in ${PROJECT_BINARY_DIR}/weirConfig.cmake
  INSTALL_DESTINATION ${weir_cmake_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/weirConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(TARGETS weir_shared EXPORT weir LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT weir NAMESPACE weir:: FILE weirTargets.cmake DESTINATION ${weir_cmake_dir})
install(FILES ${PROJECT_BINARY_DIR}/libweir.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_BINARY_DIR}/weir.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_BINARY_DIR}/weirConfig.cmake ${PROJECT_BINARY_DIR}/weirConfigVersion.cmake
  DESTINATION ${weir_cmake_dir})
install(DIRECTORY include/weir DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN man EXCLUDE)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR} PATTERN CMakeLists.txt EXCLUDE)

# Manual pages, and for each function a page that is the one it is explained on.
file(GLOB pages CONFIGURE_DEPENDS docs/man/*.3)
file(STRINGS docs/man/aliases.txt aliases)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS docs/man/aliases.txt)
foreach(alias IN LISTS aliases)
  string(REPLACE " " ";" alias "${alias}")
  list(GET alias 0 function)
  list(GET alias 1 page)
  file(CONFIGURE OUTPUT man3/${function}.3 CONTENT ".so man3/${page}.3\n")
  list(APPEND pages ${PROJECT_BINARY_DIR}/man3/${function}.3)
endforeach()
install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
if(TARGET weir)
  install(TARGETS weir RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  # What shells offer, as the program says it.
  set(weir_completions)
  foreach(file IN ITEMS bash/weir zsh/_weir fish/weir.fish)
    cmake_path(GET file PARENT_PATH shell)
    set(output ${PROJECT_BINARY_DIR}/completions/${file})
    add_custom_command(OUTPUT ${output} COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/completions/${shell}
      COMMAND $<TARGET_FILE:weir> completion ${shell} > ${output} DEPENDS weir VERBATIM)
    list(APPEND weir_completions ${output})
  endforeach()
  add_custom_target(weir_completions ALL DEPENDS ${weir_completions})
  install(FILES ${PROJECT_BINARY_DIR}/completions/bash/weir DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions OPTIONAL)
  install(FILES ${PROJECT_BINARY_DIR}/completions/zsh/_weir DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions OPTIONAL)
  install(FILES ${PROJECT_BINARY_DIR}/completions/fish/weir.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d OPTIONAL)
  install(FILES docs/man/weir.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES docs/man/weir.yaml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
endif()
